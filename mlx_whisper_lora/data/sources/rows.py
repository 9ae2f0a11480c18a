"""Make clips of the rows of tables.

A row names a recording, relative to the table, and its text. It may also have `language`, `speaker`, and `start` and
`end`: the seconds between which the clip is in the recording.
"""

import math
import os
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

from mlx_whisper_lora.data.clip import Clip, DataError
from mlx_whisper_lora.data.sources.tables import TEXT_COLUMNS, TableRow
from mlx_whisper_lora.whisper.text.languages import language_code

SPEAKER_COLUMNS = ("speaker", "speaker_id", "client_id")


def make_clips(rows: Iterable[TableRow], audio_column: str, bad: list[DataError]) -> Iterator[tuple[TableRow, Clip]]:
    """Yield each row with its clip. `bad` gets an error for each row that cannot be used, which is skipped."""
    for row in rows:
        try:
            clip = make_clip(row, audio_column)
        except DataError as error:
            bad.append(error)
        else:
            yield row, clip


def make_clip(row: TableRow, audio_column: str) -> Clip:
    """Make a clip of a row.

    Args:
        row: A row of a table.
        audio_column: The column with the path of the recording, relative to the table's folder.

    Raises:
        DataError: A column is missing, or its value cannot be used; the message names the table and the line.
    """
    audio = _read_path(row, audio_column)
    text = _read_text(row)
    start, end = _read_seconds(row, "start"), _read_seconds(row, "end")
    if end is not None and end <= (start or 0.0):
        raise row.error(f"start is {start or 0:g} and end is {end:g}; the end must be after the start")
    return Clip(audio, text, _read_language(row), start or 0.0, end, _read_speaker(row), row.origin)


def _read_path(row: TableRow, column: str) -> Path:
    if column not in row.fields:
        raise row.error(f"no {column!r} column; found {_columns(row)}")
    name = row.fields[column]
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


def _read_text(row: TableRow) -> str:
    """Return the first of the text columns that has a text, or an empty one if all are empty."""
    columns = [column for column in TEXT_COLUMNS if column in row.fields]
    if not columns:
        raise row.error(f"no text column (one of {', '.join(TEXT_COLUMNS)}); found {_columns(row)}")
    full = [column for column in columns if row.fields[column] is not None and not _is_blank(row.fields[column])]
    empty = [column for column in columns if row.fields[column] is not None]
    column = (full or empty or columns)[0]
    text = row.fields[column]
    if not isinstance(text, str):
        raise row.error(f"{column!r} must be text, found {_shown(text)}")
    return text.strip()


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


def _read_language(row: TableRow) -> str | None:
    language = row.fields.get("language")
    if language is None or _is_blank(language):
        return None
    if not isinstance(language, str):
        raise row.error(f"'language' must be text, found {_shown(language)}")
    try:
        return language_code(language)
    except ValueError as error:
        raise row.error(str(error)) from None


def _read_speaker(row: TableRow) -> str | None:
    """Return the first of the speaker columns that has a value, as text."""
    values = (row.fields.get(column) for column in SPEAKER_COLUMNS)
    return next((str(value).strip() for value in values if value is not None and not _is_blank(value)), None)


def _is_blank(value: object) -> bool:
    return isinstance(value, str) and not value.strip()


def _columns(row: TableRow) -> str:
    return ", ".join(row.fields) or "nothing"


def _shown(value: object) -> str:
    """Return a value for a message, without the middle if it is long."""
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 80 else f"{text[:60]}...{text[-10:]}"
