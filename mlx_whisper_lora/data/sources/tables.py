"""Read the rows of JSON-lines and CSV tables, and make clips of them.

A row names a recording, relative to the table, and its text. It may also have `language`, `speaker`, and `start` and
`end`: the seconds between which the clip is in the recording.
"""

import csv
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlx_whisper_lora.data.clip import Clip, DataError
from mlx_whisper_lora.whisper.text.tokenizer import language_code

TEXT_COLUMNS = ("text", "transcription", "transcript", "sentence")
SPEAKER_COLUMNS = ("speaker", "speaker_id", "client_id")


@dataclass(frozen=True)
class TableRow:
    """One row of a table."""

    table: Path
    line: int  # counted from 1
    fields: dict[str, Any]  # by column; all values of a CSV table are strings

    @property
    def origin(self) -> str:
        """The row's name in messages: "train.jsonl, line 3"."""
        return f"{self.table}, line {self.line}"


def read_rows(table: Path) -> Iterator[TableRow]:
    """Read the rows of a table; a name that ends in .csv is a CSV table, any other one JSON lines.

    Raises:
        DataError: The file is not such a table; the message names it and, if possible, the line.
    """
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            if table.suffix == ".csv":
                reader = csv.DictReader(file)
                yield from (TableRow(table, reader.line_num, fields) for fields in reader)
                return
            for line, text in enumerate(file, start=1):
                if text.strip():
                    fields = json.loads(text)
                    if not isinstance(fields, dict):
                        raise DataError(f"{table}, line {line}: expected a JSON object, found {text.strip()[:40]}")
                    yield TableRow(table, line, fields)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{table}: not UTF-8 text ({error.reason} at byte {error.start}); save the table as UTF-8"
        ) from None
    except json.JSONDecodeError as error:
        raise DataError(f"{table}, line {line}: not JSON ({error.msg}); each line must be a JSON object") from None
    except csv.Error as error:
        raise DataError(f"{table}: not a CSV table ({error})") from None


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
        raise DataError(f"{row.origin}: start is {start or 0:g} and end is {end:g}; the end must be after the start")
    return Clip(audio, text, _read_language(row), start or 0.0, end, _read_speaker(row), row.origin)


def _read_path(row: TableRow, column: str) -> Path:
    name = row.fields.get(column)
    if not isinstance(name, str) or not name:
        raise DataError(f"{row.origin}: no {column!r} column; found {_columns(row)}")
    path = row.table.parent / name
    if not path.is_file():
        raise DataError(f"{row.origin}: there is no recording {path}; paths start from the table's folder")
    return path


def _read_text(row: TableRow) -> str:
    column = next((column for column in TEXT_COLUMNS if column in row.fields), None)
    if column is None:
        raise DataError(f"{row.origin}: no text column (one of {', '.join(TEXT_COLUMNS)}); found {_columns(row)}")
    text = row.fields[column]
    if not isinstance(text, str):
        raise DataError(f"{row.origin}: {column!r} must be text, found {'nothing' if text is None else repr(text)}")
    return text.strip()


def _read_seconds(row: TableRow, column: str) -> float | None:
    """Return a time in seconds, or None if the column is missing or empty."""
    value = row.fields.get(column)
    if value is None or value == "":
        return None
    try:
        seconds = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise DataError(f"{row.origin}: {column} is {value!r}; expected seconds from the start of the recording")
    return seconds


def _read_language(row: TableRow) -> str | None:
    language = row.fields.get("language") or None
    try:
        return language_code(language) if language else None
    except (ValueError, AttributeError):
        raise DataError(
            f"{row.origin}: language is {language!r}, which Whisper does not know; expected a code or a name, "
            "such as 'te' or 'Telugu'"
        ) from None


def _read_speaker(row: TableRow) -> str | None:
    """Return the first of the speaker columns that has a value, as text."""
    return next((str(row.fields[column]) for column in SPEAKER_COLUMNS if row.fields.get(column)), None)


def _columns(row: TableRow) -> str:
    return ", ".join(str(column) for column in row.fields if column is not None) or "nothing"
