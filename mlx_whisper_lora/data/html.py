"""The parts of HTML pages that show clips: each page is one file, which needs no network."""

import base64
import io
from collections.abc import Iterable
from html import escape

import numpy as np
import soundfile

from mlx_whisper_lora.data.clip import Clip
from mlx_whisper_lora.whisper.audio.constants import N_SAMPLES, SAMPLE_RATE
from mlx_whisper_lora.whisper.audio.load import load_beginning

MOST_AUDIO = 60_000_000  # bytes, so that a browser opens the page
_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 0 auto; padding: 1rem; }
h2 { font-size: 1.2rem; margin: 1.5rem 0 .5rem; }
summary { cursor: pointer; font-weight: 600; padding: .4rem 0; }
article { border: 1px solid GrayText; border-radius: .4rem; padding: .6rem .8rem; margin: .6rem 0; }
h3 { font-size: 1rem; margin: 0; overflow-wrap: anywhere; }
p { margin: .3rem 0; overflow-wrap: anywhere; }
audio { width: 100%; }
figure { display: inline-block; width: min(28rem, 100%); margin: 0 1rem 1rem 0; }
svg { width: 100%; font-size: 14px; }
pre { overflow-x: auto; }
table { border-collapse: collapse; }
td { padding: .1rem 1rem .1rem 0; vertical-align: top; overflow-wrap: anywhere; }
td:first-child { white-space: nowrap; }
.label { display: inline-block; min-width: 4rem; opacity: .75; }
"""


def page_start(title: str, lines: Iterable[str]) -> str:
    """Return the beginning of a page: its title, and a list of lines."""
    items = "".join(f"<li>{escape(line)}</li>\n" for line in lines)
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>\n'
        f"<body><h1>{escape(title)}</h1>\n<ul>{items}</ul>\n"
    )


PAGE_END = "</body></html>\n"


def labeled_text(label: str, text: str, language: str | None) -> str:
    """Return a paragraph with a text in a language, such as what was heard, after its label."""
    language = f' lang="{escape(language)}"' if language else ""
    return f'<p><span class="label">{label}</span> <bdi{language}>{escape(text)}</bdi></p>\n'


def player(clip: Clip) -> str:
    """Return an HTML player that holds the audio of a clip as FLAC. It is cut after 30 s."""
    samples = load_beginning(clip.audio, N_SAMPLES, clip.start, clip.end)[:N_SAMPLES]
    flac = io.BytesIO()
    soundfile.write(flac, np.clip(samples, -1, 1), SAMPLE_RATE, format="FLAC")
    data = base64.b64encode(flac.getvalue()).decode()
    name = escape(clip.name)
    return f'<audio controls preload="none" aria-label="{name}" src="data:audio/flac;base64,{data}"></audio>\n'
