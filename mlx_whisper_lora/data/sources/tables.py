"""Read the rows of JSON-lines and CSV tables.

A CSV table is separated by commas, semicolons or tabs; its first line names the columns. Case, and spaces around or
within the name of a column, do not count: "File Name" is file_name.
"""

import codecs
import csv
import io
import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from mlx_whisper_lora.data.clip import DataError

TEXT_COLUMNS = ("text", "transcription", "transcript", "sentence")
_SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab"}
_NOT_TEXT = re.compile("[\0\ud800-\udfff]")  # NUL, and halves of surrogate pairs, which UTF-8 cannot express


@dataclass(frozen=True)
class TableRow:
    """One row of a table."""

    table: Path
    line: int  # the first of the row, counted from 1
    fields: dict[str, Any]  # by column; all values of a CSV table are strings

    @property
    def origin(self) -> str:
        """The row's name in messages: "train.jsonl, line 3"."""
        return f"{self.table}, line {self.line}"

    def error(self, problem: str) -> DataError:
        """Return an error that names the row."""
        return DataError(f"{self.origin}: {problem}")


def read_rows(table: Path, audio_column: str, bad: list[DataError]) -> Iterator[TableRow]:
    """Read the rows of a table. A name that ends in .jsonl is a table of JSON lines, any other one a CSV table.

    Args:
        table: The file.
        audio_column: The column with the path of the recording. A CSV table must have it, and a column of text.
        bad: Gets an error for each row that cannot be read, which is skipped.

    Raises:
        DataError: The table as a whole cannot be read. The message names it and, if possible, the line.
    """
    lines = io.StringIO(_decode(table), newline="").readlines()
    rows = _json_rows(table, lines, bad) if table.suffix == ".jsonl" else _csv_rows(table, lines, audio_column, bad)
    for row in rows:
        damaged = [column for column, value in row.fields.items() if isinstance(value, str) and _NOT_TEXT.search(value)]
        if damaged:
            bad.append(row.error(f"{damaged[0]!r} holds characters that no text has: {row.fields[damaged[0]][:40]!r}"))
        else:
            yield row


def _decode(table: Path) -> str:
    """Return the text of a table. Raise DataError with the likely encoding if it is not UTF-8."""
    data = table.read_bytes()
    if data.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        raise DataError(f"{table}: UTF-32 text; save the table as UTF-8")
    zeros = data[:1000].count(0) / max(len(data[:1000]), 1)
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or 0.25 < zeros < 0.75:
        raise DataError(f"{table}: UTF-16 text; save the table as UTF-8 (Excel: CSV UTF-8)")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{table}, line {line}: not UTF-8 text (byte 0x{data[error.start]:02x}), but perhaps Windows-1252; save "
            "the table as UTF-8 (Excel: CSV UTF-8)"
        ) from None


def _json_rows(table: Path, lines: Sequence[str], bad: list[DataError]) -> Iterator[TableRow]:
    for line, text in enumerate(lines, start=1):
        row = TableRow(table, line, {})
        if not text.strip():
            continue
        try:
            fields = json.loads(text, object_pairs_hook=_json_object, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else error
            bad.append(row.error(f"not JSON ({reason}); each line must be a JSON object"))
            continue
        if isinstance(fields, dict):
            yield TableRow(table, line, fields)
        else:
            bad.append(row.error(f"expected a JSON object, found {text.strip()[:40]}"))


def _json_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [_column(name) for name, _ in pairs]
    if repeated := _repeated(names):
        raise ValueError(f"two values for {repeated!r}")
    return dict(zip(names, (value for _, value in pairs), strict=True))


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"it has no {name}; write null if there is no value")


def _csv_rows(table: Path, lines: Sequence[str], audio_column: str, bad: list[DataError]) -> Iterator[TableRow]:
    separator = _find_separator(lines, audio_column)
    reader = csv.reader(lines, delimiter=separator, strict=True, skipinitialspace=True)
    columns: list[str] = []
    while reader.line_num < len(lines):
        row = TableRow(table, reader.line_num + 1, {})
        try:
            values = next(reader)
        except csv.Error as error:
            bad.append(_csv_error(row, reader.line_num, error))
            continue
        if not any(map(str.strip, values)):
            continue
        if not columns:
            columns = _read_header(row, values, audio_column)
        elif len(values) != len(columns):
            bad.append(row.error(_wrong_count(len(values), len(columns), _SEPARATORS[separator])))
        else:
            audio = columns.index(audio_column)
            continued = enumerate(lines[row.line : reader.line_num], start=row.line + 1)
            _check_swallowed(row, [(line, _split(text, separator)) for line, text in continued], audio, values[audio])
            yield TableRow(table, row.line, {name: value for name, value in zip(columns, values, strict=True) if name})
    if not columns:
        raise DataError(f"{table}: the table is empty; its first line must name the columns")


def _find_separator(lines: Sequence[str], audio_column: str) -> str:
    """Return the separator that splits the header into most of the columns we know. A comma wins a tie."""
    header = next((line for line in lines if line.strip()), "")
    known = {audio_column, *TEXT_COLUMNS}
    return max(_SEPARATORS, key=lambda separator: len(known.intersection(map(_column, _split(header, separator)))))


def _split(line: str, separator: str) -> list[str]:
    return next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])


def _column(name: str) -> str:
    return "_".join(name.casefold().split())


def _repeated(names: Sequence[str]) -> str | None:
    return next((name for i, name in enumerate(names) if name and name in names[:i]), None)


def _read_header(row: TableRow, values: Sequence[str], audio_column: str) -> list[str]:
    """Return the names of the columns, or raise DataError if they are not those of a table of clips."""
    columns = [_column(value) for value in values]
    found = f"found {', '.join(filter(None, columns))[:200]}; the first line must name the columns"
    if repeated := _repeated(columns):
        raise row.error(f"two columns are called {repeated!r}; rename one of them")
    if audio_column not in columns:
        raise row.error(f"no {audio_column!r} column; {found}")
    if not set(TEXT_COLUMNS).intersection(columns):
        raise row.error(f"no text column (one of {', '.join(TEXT_COLUMNS)}); {found}")
    return columns


def _wrong_count(found: int, expected: int, separator: str) -> str:
    """Describe a row with more or fewer fields than the header."""
    hint = f"put a text with a {separator} between double quotes" if found > expected else "write empty fields too"
    return f"{found} field{'s'[: found != 1]}, but the header has {expected}; {hint}"


def _csv_error(row: TableRow, last_line: int, error: csv.Error) -> DataError:
    """Describe a row that is not CSV. Raise DataError if it has swallowed other lines."""
    if last_line > row.line:
        raise row.error(f"a double quote opens in this row, and is not closed by line {last_line}; close or remove it")
    if "limit" in str(error) or "NUL" in str(error):
        return row.error(f"not a row of a CSV table ({error})")
    return row.error('double quotes do not pair up; write one within a quoted text twice, as in "say ""hello"""')


def _check_swallowed(row: TableRow, continued: list[tuple[int, list[str]]], audio: int, recording: str) -> None:
    """Raise DataError if one of the lines that a quoted text continues on names a recording, as a row of its own does.

    Args:
        row: The row, for messages.
        continued: The number of each line after the first, and the fields that it has if it is a row.
        audio: The index of the column with the path of the recording.
        recording: The recording of the row. Another one has the same suffix, even if it is missing.
    """
    if not continued:
        return
    suffix = Path(recording).suffix.casefold()
    for line, values in continued:
        name = values[audio].strip() if audio < len(values) else ""
        if os.path.isfile(row.table.parent / name) or (suffix and Path(name).suffix.casefold() == suffix):
            raise row.error(
                f"a double quote opens in this row, and takes in line {line}, which is a row of its own; close or "
                "remove it"
            )
