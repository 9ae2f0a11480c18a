"""Read clips of a Kaldi data folder: wav.scp, text, and if they are there, segments and utt2spk.

There may be a folder for each split, such as train, dev and test. A wav.scp may hold commands that write audio. They
are never run.
"""

from collections.abc import Iterator
from pathlib import Path

from mlx_whisper_lora.data.clip import DataError, Splits
from mlx_whisper_lora.data.sources.keyed_lines import read_keyed_lines
from mlx_whisper_lora.data.sources.options import SourceOptions
from mlx_whisper_lora.data.sources.rows import find_recording, make_clips
from mlx_whisper_lora.data.sources.splits import split_in_name, split_rows
from mlx_whisper_lora.data.sources.tables import TableRow

LAYOUT = "Kaldi (wav.scp and text)"
TABLES: tuple[str, ...] = ("wav.scp", "*/wav.scp")


def find_tables(folder: Path) -> list[Path]:
    """Return the folder's wav.scp, or else those of its subfolders that are named as a split."""
    if (folder / "wav.scp").is_file():
        return [folder / "wav.scp"]
    return [table for table in sorted(folder.glob("*/wav.scp")) if split_in_name(table.parent.name)]


def read(folder: Path, options: SourceOptions, bad: list[DataError]) -> Splits:
    """Read the folder, or its subfolders.

    Raises:
        DataError: A folder has no file named text, or a file is not UTF-8.
    """
    rows: list[TableRow] = []
    for table in find_tables(folder):
        split = None if table.parent == folder else split_in_name(table.parent.name)
        rows += (row.with_fields(split=split) for row in _folder_rows(table.parent, options, bad))
    return split_rows(make_clips(rows, options, bad), bad)


def _folder_rows(folder: Path, options: SourceOptions, bad: list[DataError]) -> Iterator[TableRow]:
    """Yield a row for each utterance of a folder."""
    if not (folder / "text").is_file():
        problem = f"without the file {folder / 'text'}, whose lines have an utterance's id and its text"
        raise DataError(f"{folder / 'wav.scp'}: {problem}")
    texts = read_keyed_lines(folder / "text", ("text",), bad)
    speakers = read_keyed_lines(folder / "utt2spk", ("speaker",), bad) if (folder / "utt2spk").is_file() else {}
    utterances = _read_utterances(folder, options, bad)
    for key, row in utterances.items():
        if key not in texts:
            bad.append(row.error(f"{key!r} has no line in {folder / 'text'}"))
        elif "audio" in row.fields:
            speaker = speakers[key].fields["speaker"] if key in speakers else None
            yield row.with_fields(text=texts[key].fields["text"], speaker=speaker)
    where = folder / ("segments" if (folder / "segments").is_file() else "wav.scp")
    bad += (row.error(f"{key!r} has no line in {where}") for key, row in texts.items() if key not in utterances)


def _read_utterances(folder: Path, options: SourceOptions, bad: list[DataError]) -> dict[str, TableRow]:
    """Return a row for each utterance. It has no `audio` if it cannot be used; `bad` then has the error."""
    recordings = read_keyed_lines(folder / "wav.scp", ("audio",), bad)
    for key, row in recordings.items():
        try:
            _check_recording(row, options)
        except DataError as error:
            bad.append(error)
            recordings[key] = TableRow(row.table, row.line, {})
    if not (folder / "segments").is_file():
        return recordings
    utterances = read_keyed_lines(folder / "segments", ("recording", "start", "end"), bad)
    for key, row in utterances.items():
        recording, end = row.fields["recording"], row.fields.get("end")
        if end is None:
            bad.append(row.error("expected the ids of an utterance and of its recording, its start and its end"))
        elif recording not in recordings:
            bad.append(row.error(f"the recording {recording!r} has no line in {folder / 'wav.scp'}"))
        else:
            end = None if end in ("-1", "-1.0") else end  # an end of -1 is that of the recording
            utterances[key] = row.with_fields(end=end, **recordings[recording].fields)
    return utterances


def _check_recording(row: TableRow, options: SourceOptions) -> None:
    """Raise DataError if a line of wav.scp does not name a recording that is there."""
    if row.fields["audio"].startswith("|") or row.fields["audio"].endswith("|"):
        raise row.error("a command, which is not run; write its output to a file, and give the path of that here")
    find_recording(row, options)
