"""Transcript files: plain text, SRT and WebVTT subtitles, TSV and JSON, byte for byte as openai-whisper writes them.

Each format is a function from a result of `transcribe` to the text of the file. Results of openai-whisper and
mlx-whisper work too.
"""

import functools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import NamedTuple, TextIO

from mlx_whisper_lora.whisper.atomic_files import atomic_write
from mlx_whisper_lora.whisper.option import check_ranges, documented, option

_LONG_PAUSE = 3.0  # seconds without a word, after which a new line starts if lines are limited in number


@documented
@dataclass(frozen=True)
class SubtitleLayout:
    """The layout of words in subtitles. Except for the defaults, it requires a transcript with words.

    Raises:
        OptionError: a limit is below 1.
    """

    highlight_words: bool = option(False, "Underline each word in srt and vtt files while it is spoken.")
    max_line_width: int | None = option(
        None, "Maximum number of characters in a line of a subtitle.", minimum=1, shown_default="no limit"
    )
    max_line_count: int | None = option(
        None,
        "Maximum number of lines in a subtitle. With a maximum line width, subtitles do not end with segments.",
        minimum=1,
        shown_default="no limit",
    )
    max_words_per_line: int | None = option(
        None,
        "Maximum number of words in a subtitle. It has no effect with a maximum line width.",
        minimum=1,
        shown_default="no limit",
    )

    def __post_init__(self):
        check_ranges(self)

    @property
    def keeps_segments(self) -> bool:
        """Return whether each segment starts a subtitle of its own."""
        return self.max_line_width is None or self.max_line_count is None


DEFAULT_LAYOUT = SubtitleLayout()


class Cue(NamedTuple):
    """A subtitle with its start and end as text."""

    start: str
    end: str
    text: str


def format_timestamp(seconds: float, always_include_hours: bool = False, decimal_marker: str = ".") -> str:
    """Return [hh:]mm:ss.mmm for a time in seconds.

    Raises:
        ValueError: the time is negative.
    """
    if seconds < 0:
        raise ValueError(f"a time in a recording cannot be negative: {seconds} s")
    minutes, milliseconds = divmod(round(seconds * 1000.0), 60_000)
    hours, minutes = divmod(minutes, 60)
    hours_part = f"{hours:02d}:" if always_include_hours or hours > 0 else ""
    return f"{hours_part}{minutes:02d}:{milliseconds // 1000:02d}{decimal_marker}{milliseconds % 1000:03d}"


_format_srt_timestamp = functools.partial(format_timestamp, always_include_hours=True, decimal_marker=",")


def to_txt(result: dict, layout: SubtitleLayout = DEFAULT_LAYOUT) -> str:
    """Return one line per segment."""
    return "".join(segment["text"].strip() + "\n" for segment in result["segments"])


def to_vtt(result: dict, layout: SubtitleLayout = DEFAULT_LAYOUT) -> str:
    """Return WebVTT subtitles. Times have hours only from one hour on."""
    cues = _cues(result, layout, format_timestamp)
    return "WEBVTT\n\n" + "".join(f"{cue.start} --> {cue.end}\n{cue.text}\n\n" for cue in cues)


def to_srt(result: dict, layout: SubtitleLayout = DEFAULT_LAYOUT) -> str:
    """Return SubRip subtitles, numbered from 1. Times always have hours, and a comma before the milliseconds."""
    cues = _cues(result, layout, _format_srt_timestamp)
    return "".join(f"{number}\n{cue.start} --> {cue.end}\n{cue.text}\n\n" for number, cue in enumerate(cues, 1))


def to_tsv(result: dict, layout: SubtitleLayout = DEFAULT_LAYOUT) -> str:
    """Return a header, then start and end in milliseconds and the text of each segment, separated by tabs."""
    lines = ["start\tend\ttext\n"]
    for segment in result["segments"]:
        start, end = round(1000 * segment["start"]), round(1000 * segment["end"])
        text = segment["text"].strip().replace("\t", " ")
        lines.append(f"{start}\t{end}\t{text}\n")
    return "".join(lines)


def to_json(result: dict, layout: SubtitleLayout = DEFAULT_LAYOUT) -> str:
    """Return the entire result on one line."""
    return json.dumps(result)


FORMATS: dict[str, Callable[[dict, SubtitleLayout], str]] = {
    "txt": to_txt,
    "vtt": to_vtt,
    "srt": to_srt,
    "tsv": to_tsv,
    "json": to_json,
}
OUTPUT_FORMATS = (*FORMATS, "all")


def result_paths(output_dir: str | PathLike, name: str, output_format: str) -> list[Path]:
    """Return the files that `write_result` writes.

    Raises:
        ValueError: the format is unknown.
    """
    if output_format not in OUTPUT_FORMATS:
        raise _unknown_format(output_format)
    extensions = FORMATS if output_format == "all" else (output_format,)
    return [Path(output_dir) / f"{name}.{extension}" for extension in extensions]


def write_result(
    result: dict,
    output_dir: str | PathLike,
    name: str,
    output_format: str = "txt",
    layout: SubtitleLayout = DEFAULT_LAYOUT,
) -> list[Path]:
    """Write a transcript as `output_dir`/`name`.`output_format`. Each file is replaced atomically.

    Args:
        result: a result of `transcribe`.
        output_dir: an existing folder.
        name: the name of the file, without suffix.
        output_format: one of OUTPUT_FORMATS; "all" writes a file in every format.
        layout: how to lay out "srt" and "vtt".

    Returns:
        The paths of the files.

    Raises:
        ValueError: the format is unknown, or the layout requires words and the result has none.
        OSError: a file cannot be written.
    """
    paths = result_paths(output_dir, name, output_format)
    texts = [FORMATS[path.suffix[1:]](result, layout) for path in paths]
    for path, text in zip(paths, texts, strict=True):
        with atomic_write(path) as file:
            file.write(text)
    return paths


class ResultWriter:
    """Writes results of `transcribe` into a folder, in all formats. The classes below write one.

    They are called like openai-whisper's writers. The layout of words is a dict, or keyword arguments.

    Args:
        output_dir: an existing folder.
    """

    extension = "all"

    def __init__(self, output_dir: str | PathLike):
        self.output_dir = output_dir

    def __call__(self, result: dict, audio_path: str | PathLike, options: dict | None = None, **layout) -> None:
        """Write a transcript that is called like its recording.

        Raises:
            ValueError, OSError: as for `write_result`.
        """
        name = Path(audio_path).stem
        write_result(result, self.output_dir, name, self.extension, SubtitleLayout(**(options or {}), **layout))


class _FormatWriter(ResultWriter):
    def write_result(self, result: dict, file: TextIO, options: dict | None = None, **layout) -> None:
        """Write a transcript into an open file."""
        file.write(FORMATS[self.extension](result, SubtitleLayout(**(options or {}), **layout)))


class WriteTXT(_FormatWriter):
    extension = "txt"


class WriteVTT(_FormatWriter):
    extension = "vtt"


class WriteSRT(_FormatWriter):
    extension = "srt"


class WriteTSV(_FormatWriter):
    extension = "tsv"


class WriteJSON(_FormatWriter):
    extension = "json"


def get_writer(output_format: str, output_dir: str | PathLike) -> ResultWriter:
    """Return a writer as openai-whisper's function of this name does: `writer(result, audio_path, options)`.

    Args:
        output_format: one of OUTPUT_FORMATS.
        output_dir: an existing folder for the transcripts.

    Raises:
        ValueError: the format is unknown.
    """
    for writer in (ResultWriter, WriteTXT, WriteVTT, WriteSRT, WriteTSV, WriteJSON):
        if writer.extension == output_format:
            return writer(output_dir)
    raise _unknown_format(output_format)


def _unknown_format(output_format: str) -> ValueError:
    return ValueError(f"unknown output format {output_format!r}; give one of {', '.join(OUTPUT_FORMATS)}")


def _cues(result: dict, layout: SubtitleLayout, format_time: Callable[[float], str]) -> Iterator[Cue]:
    """Make the subtitles of a result: its segments, or if it has words, the layout of these."""
    segments = result["segments"]
    if all("words" in segment for segment in segments):
        cues = [cue for words in _lay_out(segments, layout) for cue in _word_cues(words, layout, format_time)]
    elif layout != DEFAULT_LAYOUT:
        raise ValueError("highlighted words and limits of lines require a transcript made with word_timestamps=True")
    else:
        cues = [
            Cue(format_time(segment["start"]), format_time(segment["end"]), segment["text"].strip())
            for segment in segments
        ]
    for cue in cues:
        yield cue._replace(text=cue.text.replace("-->", "->"))  # an arrow would end a subtitle's header


def _lay_out(segments: list[dict], layout: SubtitleLayout) -> Iterator[list[dict]]:
    """Yield the words of each subtitle. A word that starts a line is stripped, and follows a line break if need be."""
    subtitle: list[dict] = []
    line_width, n_lines, last_start = 0, 1, None
    for opens_group, word in _grouped_words(segments, layout.max_words_per_line):
        pause = 0 if last_start is None else word["start"] - last_start
        last_start = word["start"]
        paused = pause > _LONG_PAUSE and not layout.keeps_segments
        breaks = opens_group and layout.keeps_segments and bool(subtitle)
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


def _grouped_words(segments: list[dict], max_words: int | None) -> Iterator[tuple[bool, dict]]:
    """Yield every word, and whether it opens a group: a segment, or within one, the next `max_words` words."""
    for segment in segments:
        for i, word in enumerate(segment["words"]):
            yield i % (max_words or len(segment["words"])) == 0, word


def _word_cues(words: list[dict], layout: SubtitleLayout, format_time: Callable[[float], str]) -> Iterator[Cue]:
    """Yield a subtitle of `words`, or if words are highlighted, one for each word and for each pause between them."""
    text = "".join(word["word"] for word in words)
    if not layout.highlight_words:
        yield Cue(format_time(words[0]["start"]), format_time(words[-1]["end"]), text)
        return
    last_end = format_time(words[0]["start"])
    for i, word in enumerate(words):
        start, end = format_time(word["start"]), format_time(word["end"])
        if start != last_end:
            yield Cue(last_end, start, text)
        highlighted = "".join(_underline(each["word"]) if j == i else each["word"] for j, each in enumerate(words))
        yield Cue(start, end, highlighted)
        last_end = end


def _underline(word: str) -> str:
    """Put <u></u> around a word, but not around the space before it."""
    bare = word.lstrip()
    return f"{word[: len(word) - len(bare)]}<u>{bare}</u>"
