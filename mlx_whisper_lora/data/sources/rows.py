"""Make clips of the rows of tables.

A row names a recording, relative to the table, and its text. It may also have a language, a speaker, and `start` and
`end`, or `offset` and `duration`: the seconds between which the clip is in the recording.
"""

import functools
import math
import os
import unicodedata
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from mlx_whisper_lora.data.clip import Clip, DataError
from mlx_whisper_lora.data.sources.options import SourceOptions, column_name
from mlx_whisper_lora.data.sources.tables import TableRow, missing_column
from mlx_whisper_lora.whisper.audio.load import StoredAudio
from mlx_whisper_lora.whisper.text.languages import is_known, language_code
from mlx_whisper_lora.whisper.text.tokenizer import TASKS


def make_clips(
    rows: Iterable[TableRow], options: SourceOptions, bad: list[DataError]
) -> Iterator[tuple[TableRow, Clip]]:
    """Yield each row with its clip. `bad` gets an error for each row that cannot be used, which is skipped.

    Rows without a translation are skipped too, if translations are asked for, and a warning counts them.
    """
    untranslated: list[TableRow] = []
    for row in rows:
        if _lacks_translation(row, options):
            untranslated.append(row)
            continue
        try:
            clip = make_clip(row, options)
        except DataError as error:
            bad.append(error)
        else:
            yield row, clip
    if untranslated:
        warn_left_out(untranslated, "no translation")


def warn_left_out(rows: Sequence[TableRow], reason: str) -> None:
    """Warn of rows that are not read although nothing is wrong with them."""
    count = "1 row is" if len(rows) == 1 else f"{len(rows)} rows are"
    warnings.warn(f"{count} left out ({reason}), such as {rows[0].origin}", stacklevel=3)


def _lacks_translation(row: TableRow, options: SourceOptions) -> bool:
    if options.translation_column is None:
        return False
    (column,) = options.text_columns
    return column in row.fields and (row.fields[column] is None or _is_blank(row.fields[column]))


def make_clip(row: TableRow, options: SourceOptions) -> Clip:
    """Make a clip of a row.

    Args:
        row: A row of a table. The path of the recording is relative to the table's folder.
        options: The names of columns.

    Raises:
        DataError: A column is missing, or its value cannot be used; the message names the table and the line.
    """
    audio = find_recording(row, options)
    text = _read_text(row, options)
    start, end = _read_times(row)
    language, speaker = _read_language(row, options), _read_speaker(row, options)
    return Clip(audio, text, language, start, end, speaker, row.origin, task=_read_task(row, options))


def audio_column(row: TableRow, options: SourceOptions) -> str:
    """Return the column with the path of the recording.

    Raises:
        DataError: There is none.
    """
    return _find_column(row, "audio", options.audio_columns)


def find_recording(row: TableRow, options: SourceOptions) -> Path | StoredAudio:
    """Return a row's recording: its path, or the part of a data set that holds it.

    Raises:
        DataError: The row names none, or one that is missing or cannot be read.
    """
    column = audio_column(row, options)
    name = row.fields[column]
    if isinstance(name, StoredAudio):
        return name
    if not isinstance(name, str) or not name.strip():
        raise row.error(f"{column!r} must be the path of a recording, found {_shown(name)}")
    found = next(filter(os.path.isfile, _spellings(row.table.parent, name)), None)
    if found is not None:
        if not os.access(found, os.R_OK):
            raise row.error(f"the recording {found} cannot be read; change its permissions")
        return found
    path = row.table.parent / name
    if os.path.isdir(path):
        raise row.error(f"{path} is a folder, not a recording")
    other = _other_case(path)
    hint = f"there is {other}" if other else "paths start from the table's folder"
    raise row.error(f"there is no recording {path}; {hint}")


def _spellings(folder: Path, name: str) -> Iterator[Path]:
    """Yield the path as it is written, and as another system writes it: Windows has backslashes, macOS splits é."""
    yield folder / name
    plain = name.strip().replace("\\", "/")
    for each in (plain, unicodedata.normalize("NFC", plain), unicodedata.normalize("NFD", plain)):
        yield folder / each


def _other_case(path: Path) -> Path | None:
    """Return a file whose name differs in case alone, if there is one."""
    try:
        names = os.listdir(path.parent)
    except (OSError, ValueError):
        return None
    return next((path.parent / name for name in names if name.casefold() == path.name.casefold()), None)


def _find_column(row: TableRow, kind: str, names: Sequence[str]) -> str:
    """Return the first of some columns that the row has."""
    found = next((column for column in names if column in row.fields), None)
    if found is None:
        raise row.error(missing_column(kind, names, row.fields))
    return found


def _read_text(row: TableRow, options: SourceOptions) -> str:
    """Return the first of the text columns that has a text, or an empty one if all are empty."""
    _find_column(row, options.text_option.removesuffix("_column"), options.text_columns)
    columns = [column for column in options.text_columns if column in row.fields]
    full = [column for column in columns if row.fields[column] is not None and not _is_blank(row.fields[column])]
    empty = [column for column in columns if row.fields[column] is not None]
    column = (full or empty or columns)[0]
    text = row.fields[column]
    if not isinstance(text, str):
        raise row.error(f"{column!r} must be text, found {_shown(text)}")
    return text.strip()


def _read_times(row: TableRow) -> tuple[float, float | None]:
    """Return the start and the end of the clip. Without an offset, a duration is that of the whole recording."""
    offset = _read_seconds(row, "offset")
    if offset is not None:
        duration = _read_seconds(row, "duration")
        if duration == 0:
            raise row.error("duration is 0; a clip must last longer")
        return offset, None if duration is None else offset + duration
    start, end = _read_seconds(row, "start"), _read_seconds(row, "end")
    if end is not None and end <= (start or 0.0):
        raise row.error(f"start is {start or 0:g} and end is {end:g}; the end must be after the start")
    return start or 0.0, end


def _read_seconds(row: TableRow, column: str) -> float | None:
    """Return a time in seconds, or None if the column is missing or empty."""
    value = row.fields.get(column)
    if value is None or _is_blank(value):
        return None
    try:
        seconds = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise row.error(f"{column} is {_shown(value)}; expected seconds from the start of the recording")
    return seconds


def _read_language(row: TableRow, options: SourceOptions) -> str | None:
    if options.language_column is not None:
        _find_column(row, "language", options.language_columns)
    column = next((name for name in options.language_columns if row.fields.get(name) is not None), None)
    language = None if column is None else row.fields[column]
    if language is None or _is_blank(language):
        return None
    if not isinstance(language, str):
        raise row.error(f"{column!r} must be text, found {_shown(language)}")
    try:
        return _language_code(language)
    except ValueError as error:
        raise row.error(str(error)) from None


_language_code = functools.cache(language_code)  # most rows of a table have the same one


def is_language(value: object) -> bool:
    """Return whether a value names a language that is known. The clips of another one need `--language`."""
    try:
        return isinstance(value, str) and is_known(_language_code(value))
    except ValueError:
        return False


def _read_task(row: TableRow, options: SourceOptions) -> str | None:
    if options.task_column is None:
        return options.task
    task = row.fields[_find_column(row, "task", (column_name(options.task_column),))]
    if task is None or _is_blank(task):
        return None
    if not isinstance(task, str) or task.strip().casefold() not in TASKS:
        raise row.error(f"task is {_shown(task)}; expected {' or '.join(TASKS)}")
    return task.strip().casefold()


def _read_speaker(row: TableRow, options: SourceOptions) -> str | None:
    """Return the first of the speaker columns that has a value, as text."""
    if options.speaker_column is not None:
        _find_column(row, "speaker", options.speaker_columns)
    values = (row.fields.get(column) for column in options.speaker_columns)
    return next((str(value).strip() for value in values if value is not None and not _is_blank(value)), None)


def _is_blank(value: object) -> bool:
    return isinstance(value, str) and not value.strip()


def _shown(value: object) -> str:
    """Return a value for a message, without the middle if it is long."""
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 80 else f"{text[:60]}...{text[-10:]}"
