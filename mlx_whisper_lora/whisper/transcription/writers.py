"""Transcripts as files: plain text, SRT and WebVTT subtitles, TSV and JSON, byte for byte as openai-whisper's.

Each format is a function from a result of `transcription.transcribe`, and for subtitles their layout, to the file's
text.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from mlx_whisper_lora.whisper.atomic_files import atomic_write

LONG_PAUSE = 3.0  # seconds without a word, at which lines of a limited number start anew


@dataclass(frozen=True)
class SubtitleLayout:
    """How the words of a transcript fill subtitles; all but the defaults need a result with words.

    highlight_words: a subtitle for each word, in which it is underlined.
    max_line_width: characters in a line; None for no limit.
    max_line_count: lines in a subtitle. With `max_line_width` too, subtitles no longer keep to segments.
    max_words_per_line: words in a subtitle, where subtitles keep to segments.

    Raises ValueError for a limit below 1.
    """

    highlight_words: bool = False
    max_line_width: int | None = None
    max_line_count: int | None = None
    max_words_per_line: int | None = None

    def __post_init__(self):
        for name in ("max_line_width", "max_line_count", "max_words_per_line"):
            limit = getattr(self, name)
            if limit is not None and limit < 1:
                raise ValueError(f"{name} must be at least 1, got {limit}")

    @property
    def keeps_segments(self) -> bool:
        return self.max_line_width is None or self.max_line_count is None


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


def to_vtt(result: dict, layout: SubtitleLayout) -> str:
    """WebVTT: hours only from one hour on."""
    return "WEBVTT\n\n" + "".join(f"{start} --> {end}\n{text}\n\n" for start, end, text in subtitles(result, layout))


def to_srt(result: dict, layout: SubtitleLayout) -> str:
    """SubRip: numbered from 1, hours always, a comma before the milliseconds."""
    lines = subtitles(result, layout, always_include_hours=True, decimal_marker=",")
    return "".join(f"{number}\n{start} --> {end}\n{text}\n\n" for number, (start, end, text) in enumerate(lines, 1))


def subtitles(result: dict, layout: SubtitleLayout, **time_format) -> Iterator[tuple[str, str, str]]:
    """Start, end and text of each subtitle: the segments, or where words are known, what `layout` makes of these.

    Raises ValueError for a layout of words where the result has none.
    """
    segments = result["segments"]
    if all("words" in segment for segment in segments):
        cues = [cue for words in lay_out(segments, layout) for cue in word_cues(words, layout, **time_format)]
    elif layout != SubtitleLayout():
        raise ValueError("highlighted words and limits of lines need a transcript made with word_timestamps=True")
    else:
        cues = [(*times(segment, **time_format), segment["text"].strip()) for segment in segments]
    for start, end, text in cues:
        yield start, end, text.replace("-->", "->")  # an arrow would end a subtitle's header


def times(part: dict, **time_format) -> tuple[str, str]:
    """Start and end of a segment or word."""
    return format_timestamp(part["start"], **time_format), format_timestamp(part["end"], **time_format)


def lay_out(segments: list[dict], layout: SubtitleLayout) -> Iterator[list[dict]]:
    """The words of each subtitle; one that starts a line is stripped and, from the second line on, follows a break."""
    subtitle: list[dict] = []
    line_width, n_lines, last_start = 0, 1, None
    for opens, word in grouped_words(segments, layout.max_words_per_line):
        pause = 0 if last_start is None else word["start"] - last_start
        last_start = word["start"]
        paused = pause > LONG_PAUSE and not layout.keeps_segments
        breaks = opens and layout.keeps_segments and bool(subtitle)
        fits = layout.max_line_width is None or line_width + len(word["word"]) <= layout.max_line_width
        if line_width > 0 and fits and not paused and not breaks:
            line_width += len(word["word"])
            subtitle.append(word)
            continue

        text = word["word"].strip()
        full = layout.max_line_count is not None and (paused or n_lines >= layout.max_line_count)
        if subtitle and (full or breaks):
            yield subtitle
            subtitle, n_lines = [], 1
        elif line_width > 0:
            n_lines += 1
            text = "\n" + text
        line_width = len(text.strip())
        subtitle.append({**word, "word": text})
    if subtitle:
        yield subtitle


def grouped_words(segments: list[dict], max_words: int | None) -> Iterator[tuple[bool, dict]]:
    """Every word, and whether it opens a segment or, within one, a group of `max_words`."""
    for segment in segments:
        for i, word in enumerate(segment["words"]):
            yield i % (max_words or len(segment["words"])) == 0, word


def word_cues(words: list[dict], layout: SubtitleLayout, **time_format) -> Iterator[tuple[str, str, str]]:
    """A subtitle of `words`; or one for each word that is highlighted, and one for each pause between them."""
    text = "".join(word["word"] for word in words)
    start, end = format_timestamp(words[0]["start"], **time_format), format_timestamp(words[-1]["end"], **time_format)
    if not layout.highlight_words:
        yield start, end, text
        return
    last_end = start
    for i, word in enumerate(words):
        start, end = times(word, **time_format)
        if start != last_end:
            yield last_end, start, text
        yield start, end, "".join(underlined(each["word"]) if j == i else each["word"] for j, each in enumerate(words))
        last_end = end


def underlined(word: str) -> str:
    """`word` in <u></u>, the space before it left outside."""
    bare = word.lstrip()
    return f"{word[: len(word) - len(bare)]}<u>{bare}</u>"


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


TEXTS = {"txt": to_txt, "tsv": to_tsv, "json": to_json}
SUBTITLES = {"vtt": to_vtt, "srt": to_srt}
FORMATS = ("txt", "vtt", "srt", "tsv", "json")
OUTPUT_FORMATS = (*FORMATS, "all")


def write_result(
    result: dict, output_dir: str | PathLike, name: str, output_format: str = "txt", **layout
) -> list[Path]:
    """Write `result` as `output_dir`/`name`.`output_format`, or in every format for "all"; returns the paths written.

    layout: fields of SubtitleLayout, for "srt" and "vtt". Each file is replaced as a whole or left as it was. Raises
    ValueError for an unknown format or a layout that is not possible, and OSError when the folder is missing or cannot
    be written.
    """
    if output_format not in OUTPUT_FORMATS:
        raise ValueError(f"unknown output format {output_format!r}: one of {', '.join(OUTPUT_FORMATS)}")
    subtitle_layout = SubtitleLayout(**layout)
    paths = []
    for extension in FORMATS if output_format == "all" else (output_format,):
        path = Path(output_dir) / f"{name}.{extension}"
        is_subtitle = extension in SUBTITLES
        text = SUBTITLES[extension](result, subtitle_layout) if is_subtitle else TEXTS[extension](result)
        with atomic_write(path) as file:
            file.write(text)
        paths.append(path)
    return paths
