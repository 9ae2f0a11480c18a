"""Transcripts as files: plain text, SRT and WebVTT subtitles, TSV and JSON, byte for byte as openai-whisper's.

Each format is a function from a result of `transcription.transcribe` to the file's text.
"""

import json
from collections.abc import Callable, Iterator
from os import PathLike
from pathlib import Path

from mlx_whisper_lora.whisper.files import atomic_write


def format_timestamp(seconds: float, always_include_hours: bool = False, decimal_marker: str = ".") -> str:
    """[hh:]mm:ss.mmm for a time in seconds of at least 0."""
    if seconds < 0:
        raise ValueError(f"a time in a recording cannot be negative: {seconds} s")
    minutes, milliseconds = divmod(round(seconds * 1000.0), 60_000)
    hours, minutes = divmod(minutes, 60)
    hours_part = f"{hours:02d}:" if always_include_hours or hours > 0 else ""
    return f"{hours_part}{minutes:02d}:{milliseconds // 1000:02d}{decimal_marker}{milliseconds % 1000:03d}"


def to_txt(result: dict) -> str:
    """One line a segment."""
    return "".join(segment["text"].strip() + "\n" for segment in result["segments"])


def to_vtt(result: dict) -> str:
    """WebVTT: hours only from one hour on."""
    return "WEBVTT\n\n" + "".join(f"{start} --> {end}\n{text}\n\n" for start, end, text in subtitles(result))


def to_srt(result: dict) -> str:
    """SubRip: numbered from 1, hours always, a comma before the milliseconds."""
    lines = subtitles(result, always_include_hours=True, decimal_marker=",")
    return "".join(f"{number}\n{start} --> {end}\n{text}\n\n" for number, (start, end, text) in enumerate(lines, 1))


def subtitles(result: dict, **time_format) -> Iterator[tuple[str, str, str]]:
    """Start, end and text of each segment; an arrow in the text would end a subtitle's header."""
    for segment in result["segments"]:
        start, end = (format_timestamp(segment[key], **time_format) for key in ("start", "end"))
        yield start, end, segment["text"].strip().replace("-->", "->")


def to_tsv(result: dict) -> str:
    """A header line, then start and end in whole milliseconds and the text, between tabs."""
    lines = ["start\tend\ttext\n"]
    for segment in result["segments"]:
        start, end = round(1000 * segment["start"]), round(1000 * segment["end"])
        text = segment["text"].strip().replace("\t", " ")
        lines.append(f"{start}\t{end}\t{text}\n")
    return "".join(lines)


def to_json(result: dict) -> str:
    """The whole result, on one line."""
    return json.dumps(result)


FORMATS: dict[str, Callable[[dict], str]] = {
    "txt": to_txt,
    "vtt": to_vtt,
    "srt": to_srt,
    "tsv": to_tsv,
    "json": to_json,
}
OUTPUT_FORMATS = (*FORMATS, "all")


def write_result(result: dict, output_dir: str | PathLike, name: str, output_format: str = "txt") -> list[Path]:
    """Write `result` as `output_dir`/`name`.`output_format`, or in every format for "all"; returns the paths written.

    Each file is replaced as a whole or left as it was. Raises ValueError for an unknown format and OSError when the
    folder is missing or cannot be written.
    """
    if output_format not in OUTPUT_FORMATS:
        raise ValueError(f"unknown output format {output_format!r}: one of {', '.join(OUTPUT_FORMATS)}")
    paths = []
    for extension in FORMATS if output_format == "all" else (output_format,):
        path = Path(output_dir) / f"{name}.{extension}"
        with atomic_write(path) as file:
            file.write(FORMATS[extension](result))
        paths.append(path)
    return paths
