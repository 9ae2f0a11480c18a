"""Read the segments of SubRip and WebVTT subtitles, of Audacity's labels, and of our own transcripts in JSON."""

import html
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from mlx_whisper_lora.data.clip import DataError
from mlx_whisper_lora.data.sources.tables import TableRow, read_text

_CLOCK = r"(?:(\d{1,4}):)?([0-5]?\d):([0-5]?\d)[.,](\d{3})"
_TIMES = re.compile(rf"\s*{_CLOCK}\s+-->\s+{_CLOCK}(?:\s.*)?")
_NOT_CUES = re.compile(r"(?:WEBVTT|NOTE|STYLE|REGION)(?:\s|$)")
_NOT_A_CUE = (
    "not one subtitle with times such as 00:00:01,000 --> 00:00:02,500, and then its text; write a blank line after "
    "each subtitle, and none within one"
)
_VOICE = re.compile(r"<v(?:\.[^\s>]*)*\s+([^>]+)>")
_TAG = re.compile(r"</?(?:[bisuvc]|font|ruby|rt|lang)(?:[.\s][^<>]*)?>|<\d[\d:.]*>|\{\\[^}]*\}")
_LABEL = re.compile(r"(\d+(?:[.,]\d+)?)\t(\d+(?:[.,]\d+)?)(?:\t(.*))?")


def read_subtitles(path: Path, bad: list[DataError]) -> Iterator[TableRow]:
    """Read SubRip or WebVTT subtitles. In WebVTT, the first voice tag of a cue names its speaker.

    Args:
        path: The file.
        bad: Gets an error for each paragraph that is not a cue.

    Yields:
        The cues that have a text, with `start`, `end`, `text` and `speaker`.

    Raises:
        DataError: The file is not UTF-8.
    """
    is_vtt = path.suffix.casefold() == ".vtt"
    for line, paragraph in _paragraphs(read_text(path)):
        if is_vtt and _NOT_CUES.match(paragraph[0]):
            continue
        found = [(i, times) for i, each in enumerate(paragraph) if (times := _TIMES.fullmatch(each))]
        if len(found) != 1 or found[0][0] > 1:  # a number or a name may come before the times
            bad.append(TableRow(path, line, {}).error(_NOT_A_CUE))
            continue
        first, times = found[0]
        row = TableRow(path, line + first, {"start": _seconds(times.groups()[:4]), "end": _seconds(times.groups()[4:])})
        text = " ".join(paragraph[first + 1 :])
        speaker = _VOICE.search(text)
        text = " ".join(_TAG.sub("", text).split())
        if text:
            text = html.unescape(text) if is_vtt else text
            yield row.with_fields(text=text, speaker=speaker[1].strip() if speaker else None)


def _paragraphs(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the runs of lines between blank ones, with the number of the first line of each."""
    lines: list[str] = []
    for number, line in enumerate([*text.splitlines(), ""], start=1):
        if line.strip():
            lines.append(line)
        elif lines:
            yield number - len(lines), lines
            lines = []


def _seconds(clock: Sequence[str | None]) -> float:
    hours, minutes, seconds, thousandths = (int(part or 0) for part in clock)
    return 3600 * hours + 60 * minutes + seconds + thousandths / 1000


def is_labels(text: str) -> bool:
    """Return whether a text starts as labels that Audacity has exported: with two numbers and a tab between them."""
    return _LABEL.match(text.lstrip("\n")) is not None


def read_labels(path: Path, bad: list[DataError]) -> Iterator[TableRow]:
    """Read labels that Audacity has exported: start, end and text, separated by tabs.

    Args:
        path: The file.
        bad: Gets an error for each line that is not a label.

    Yields:
        The labels that have a text, with `start`, `end` and `text`.
    """
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if not line.strip() or line.startswith("\\"):  # a backslash is before the frequencies of a label
            continue
        label = _LABEL.fullmatch(line.rstrip())
        if label is None:
            bad.append(TableRow(path, number, {}).error("not a label: expected start, end and text with tabs between"))
        elif text := " ".join((label[3] or "").split()):
            start, end = (float(label[i].replace(",", ".")) for i in (1, 2))
            yield TableRow(path, number, {"start": start, "end": end, "text": text})


def read_transcript(path: Path, bad: list[DataError]) -> Iterator[TableRow]:
    """Read a transcript as `transcribe --output-format json` writes it.

    Args:
        path: The file.
        bad: Gets an error for each segment that is not an object.

    Yields:
        The segments that have a text, with `start`, `end`, `text` and `language`.

    Raises:
        DataError: The file is not such a transcript.
    """
    text = read_text(path)
    try:
        transcript = json.loads(text)
    except (ValueError, RecursionError):
        transcript = None
    segments = transcript.get("segments") if isinstance(transcript, dict) else None
    if not isinstance(segments, list):
        raise DataError(f"{path}: not a transcript as `transcribe --output-format json` writes it: it has no segments")
    for number, segment in enumerate(segments, start=1):
        row = TableRow(path, number, {"language": transcript.get("language")}, unit="segment")
        if not isinstance(segment, dict):
            bad.append(row.error("not an object with start, end and text"))
        elif segment.get("text") != "":
            yield row.with_fields(**{name: segment[name] for name in ("start", "end", "text") if name in segment})
