"""Write an inspection as one HTML page that needs no network. Each suspect clip can be played."""

from collections.abc import Iterator
from html import escape
from typing import IO

from mlx_whisper_lora.data.html import MOST_AUDIO, PAGE_END, labeled_text, page_start, player
from mlx_whisper_lora.data.inspection.findings import Finding
from mlx_whisper_lora.data.inspection.histogram import draw_histogram
from mlx_whisper_lora.data.inspection.inspect import Inspection
from mlx_whisper_lora.data.inspection.summary import by_kind, heading, summary_lines

_SHOWN = 20  # findings of a kind with a player each; of suspicious texts, all have one
_OPEN = ("bad", "mismatch")  # the kinds that are not folded


def write_page(inspection: Inspection, file: IO[str]) -> None:
    """Write an inspection as HTML to an open text file. Recordings are cut after 30 s."""
    file.write(page_start(f"Inspection of {inspection.folder}", summary_lines(inspection)))
    lengths, rates = ([*values] for values in ((each.audio.seconds for each in inspection.clips), _rates(inspection)))
    for values, unit in ((lengths, "seconds"), (rates, "characters a second")):
        if values:
            file.write(f"<figure>{draw_histogram(values, unit)}</figure>\n")
    if not inspection.findings:
        file.write("<p>Nothing suspicious was found.</p>\n")
    left = MOST_AUDIO
    for kind, found in by_kind(inspection.findings).items():
        is_open = " open" if kind in _OPEN else ""
        file.write(f"<details{is_open}><summary>{escape(heading(kind, found))}</summary>\n")
        shown = found if kind == "mismatch" else found[:_SHOWN]
        for each in shown:
            audio = player(each.clip) if each.clip and each.kind != "bad" and left > 0 else ""
            left -= len(audio)
            file.write(_article(each, audio))
        if len(found) > len(shown):
            file.write(f"<p>and {len(found) - len(shown)} more</p>\n")
        file.write("</details>\n")
    file.write(PAGE_END)


def _rates(inspection: Inspection) -> Iterator[float]:
    return (each.rate for each in inspection.clips if each.rate)


def _article(finding: Finding, audio: str) -> str:
    """Return the HTML of a finding. `audio` is the HTML of its player, or empty."""
    if finding.clip is None:
        return f"<article><p>{escape(finding.detail)}</p></article>\n"
    clip = finding.clip
    texts = [labeled_text("text", clip.text, clip.language)]
    if finding.heard is not None:
        texts.append(labeled_text("heard", finding.heard, clip.language))
    return (
        f"<article><h3>{escape(clip.name)} ({escape(str(finding.split))})</h3>\n<p>{escape(finding.detail)}</p>\n"
        f"{audio}{''.join(texts)}</article>\n"
    )
