"""Read clips of recordings with a transcript beside each: talk.wav and talk.srt, or 1.wav and 1.txt.

Subtitles (.srt, .vtt), TextGrids, labels of Audacity (.txt) and transcripts of `transcribe` (.json) have segments with
times: each becomes a clip, which is a stretch of the recording. Any other .txt is the text of the whole recording. The
split is that of the folder, such as train/ or test/.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from mlx_whisper_lora.data.clip import DataError, Splits
from mlx_whisper_lora.data.sources.audio_files import is_recording
from mlx_whisper_lora.data.sources.options import SourceOptions
from mlx_whisper_lora.data.sources.rows import make_clips
from mlx_whisper_lora.data.sources.splits import split_of_path, split_rows
from mlx_whisper_lora.data.sources.subtitles import is_labels, read_labels, read_subtitles, read_transcript
from mlx_whisper_lora.data.sources.tables import TableRow, is_text, read_text
from mlx_whisper_lora.data.sources.text_grid import read_text_grid

LAYOUT = "recordings with .txt, .srt, .vtt, .TextGrid or .json beside them"
TABLES: tuple[str, ...] = ()
_SUFFIXES = (".textgrid", ".srt", ".vtt", ".json", ".txt")  # of several transcripts, the first one is read
_NOT_TRANSCRIPTS = ("readme", "license", "licence", "notice", "notices", "changelog")


class _Pair(NamedTuple):
    """A transcript and a recording that are called the same, or one of them alone."""

    transcript: Path | None
    recording: Path | None


def find_tables(folder: Path) -> list[Path]:
    """Return the transcripts that have a recording beside them."""
    return [pair.transcript for pair in _find_pairs(folder) if pair.transcript and pair.recording]


def read(folder: Path, options: SourceOptions, bad: list[DataError]) -> Splits:
    """Read the transcripts. A transcript without a recording, or a recording without one, goes to `bad`."""
    rows = (row for pair in _find_pairs(folder) for row in _read_pair(folder, pair, options, bad))
    return split_rows(make_clips(rows, options, bad), bad)


def _find_pairs(folder: Path) -> Iterator[_Pair]:
    for place, folders, names in os.walk(folder):
        folders.sort()
        files: dict[str, list[str]] = {}
        for name in sorted(names):
            files.setdefault(os.path.splitext(name)[0], []).append(name)
        for stem, group in files.items():
            transcript = min(filter(_rank, group), key=_rank, default=None)
            recording = next(filter(is_recording, group), None)
            if recording or (transcript and stem.casefold() not in _NOT_TRANSCRIPTS):
                yield _Pair(*(Path(place, name) if name else None for name in (transcript, recording)))


def _rank(name: str) -> int:
    """Return the place of a transcript's suffix in the order of preference, from 1, or 0 for another file."""
    suffix = os.path.splitext(name)[1].casefold()
    return _SUFFIXES.index(suffix) + 1 if suffix in _SUFFIXES else 0


def _read_pair(folder: Path, pair: _Pair, options: SourceOptions, bad: list[DataError]) -> Iterator[TableRow]:
    """Yield a row for each clip of a recording."""
    transcript, recording = pair
    if transcript and recording:
        split = split_of_path(recording.relative_to(folder).as_posix())
        try:
            for row in _read_transcript(transcript, options, bad):
                if is_text(row, bad):
                    yield row.with_fields(audio=recording.name, split=split)
        except DataError as error:
            bad.append(error)
    elif recording:
        advice = "write one, or move the recording away"
        bad.append(DataError(f"{recording}: there is no transcript beside it, such as {recording.stem}.txt; {advice}"))
    elif transcript:
        advice = "move one there, or move away what is not a transcript"
        bad.append(DataError(f"{transcript}: there is no recording beside it, such as {transcript.stem}.wav; {advice}"))


def _read_transcript(path: Path, options: SourceOptions, bad: list[DataError]) -> Iterable[TableRow]:
    suffix = path.suffix.casefold()
    if suffix == ".textgrid":
        return read_text_grid(path, options)
    if suffix == ".json":
        return read_transcript(path, bad)
    if suffix in (".srt", ".vtt"):
        return read_subtitles(path, bad)
    text = read_text(path)
    return read_labels(path, bad) if is_labels(text) else [TableRow(path, 1, {"text": " ".join(text.split())})]
