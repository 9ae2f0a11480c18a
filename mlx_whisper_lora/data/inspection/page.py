"""Write an inspection as one HTML page that needs no network. Each suspect clip can be played."""

import base64
import io
from collections.abc import Iterator
from html import escape
from typing import IO

import numpy as np
import soundfile

from mlx_whisper_lora.data.clip import Clip
from mlx_whisper_lora.data.inspection.findings import Finding
from mlx_whisper_lora.data.inspection.histogram import draw_histogram
from mlx_whisper_lora.data.inspection.inspect import Inspection
from mlx_whisper_lora.data.inspection.summary import by_kind, heading, summary_lines
from mlx_whisper_lora.whisper.audio.constants import N_SAMPLES, SAMPLE_RATE
from mlx_whisper_lora.whisper.audio.load import audio_blocks

_SHOWN = 20  # findings of a kind with a player each; of suspicious texts, all have one
_OPEN = ("bad", "mismatch")  # the kinds that are not folded
_MOST_AUDIO = 60_000_000  # bytes, so that a browser opens the page
_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 0 auto; padding: 1rem; }
summary { cursor: pointer; font-weight: 600; padding: .4rem 0; }
article { border: 1px solid GrayText; border-radius: .4rem; padding: .6rem .8rem; margin: .6rem 0; }
h3 { font-size: 1rem; margin: 0; overflow-wrap: anywhere; }
p { margin: .3rem 0; overflow-wrap: anywhere; }
audio { width: 100%; }
figure { display: inline-block; width: min(28rem, 100%); margin: 0 1rem 1rem 0; }
svg { width: 100%; font-size: 14px; }
.label { display: inline-block; min-width: 4rem; opacity: .75; }
"""


def write_page(inspection: Inspection, file: IO[str]) -> None:
    """Write an inspection as HTML to an open text file. Recordings are cut after 30 s."""
    title = escape(f"Inspection of {inspection.folder}")
    file.write(
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>\n'
        f"<body><h1>{title}</h1>\n<ul>"
    )
    file.writelines(f"<li>{escape(line)}</li>\n" for line in summary_lines(inspection))
    file.write("</ul>\n")
    lengths, rates = ([*values] for values in ((each.audio.seconds for each in inspection.clips), _rates(inspection)))
    for values, unit in ((lengths, "seconds"), (rates, "characters a second")):
        if values:
            file.write(f"<figure>{draw_histogram(values, unit)}</figure>\n")
    if not inspection.findings:
        file.write("<p>Nothing suspicious was found.</p>\n")
    left = _MOST_AUDIO
    for kind, found in by_kind(inspection.findings).items():
        is_open = " open" if kind in _OPEN else ""
        file.write(f"<details{is_open}><summary>{escape(heading(kind, found))}</summary>\n")
        shown = found if kind == "mismatch" else found[:_SHOWN]
        for each in shown:
            player = _player(each.clip) if each.clip and each.kind != "bad" and left > 0 else ""
            left -= len(player)
            file.write(_article(each, player))
        if len(found) > len(shown):
            file.write(f"<p>and {len(found) - len(shown)} more</p>\n")
        file.write("</details>\n")
    file.write("</body></html>\n")


def _rates(inspection: Inspection) -> Iterator[float]:
    return (each.rate for each in inspection.clips if each.rate)


def _article(finding: Finding, player: str) -> str:
    """Return the HTML of a finding. `player` is the HTML of its audio, or empty."""
    if finding.clip is None:
        return f"<article><p>{escape(finding.detail)}</p></article>\n"
    clip = finding.clip
    texts = [_text("text", clip.text, clip.language)]
    if finding.heard is not None:
        texts.append(_text("heard", finding.heard, clip.language))
    return (
        f"<article><h3>{escape(clip.name)} ({escape(str(finding.split))})</h3>\n<p>{escape(finding.detail)}</p>\n"
        f"{player}{''.join(texts)}</article>\n"
    )


def _text(label: str, text: str, language: str | None) -> str:
    language = f' lang="{escape(language)}"' if language else ""
    return f'<p><span class="label">{label}</span> <bdi{language}>{escape(text)}</bdi></p>\n'


def _player(clip: Clip) -> str:
    """Return an HTML player that holds the audio of a clip as FLAC."""
    blocks: list[np.ndarray] = []
    for block in audio_blocks(clip.audio, start=clip.start, end=clip.end):
        blocks.append(block)
        if sum(map(len, blocks)) > N_SAMPLES:
            break
    flac = io.BytesIO()
    soundfile.write(flac, np.clip(np.concatenate(blocks)[:N_SAMPLES], -1, 1), SAMPLE_RATE, format="FLAC")
    data = base64.b64encode(flac.getvalue()).decode()
    name = escape(clip.name)
    return f'<audio controls preload="none" aria-label="{name}" src="data:audio/flac;base64,{data}"></audio>\n'
