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
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NoReturn

from mlx_whisper_lora.data.clip import DataError
from mlx_whisper_lora.data.sources.options import SourceOptions, column_name

_SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab"}
_NOT_TEXT = re.compile("[\0\ud800-\udfff]")  # NUL, and halves of surrogate pairs, which UTF-8 cannot express


@dataclass(frozen=True)
class TableRow:
    """One row of a table."""

    table: Path
    line: int  # the first of the row, counted from 1
    fields: dict[str, Any]  # by column; all values of a CSV table are strings
    unit: str = "line"  # the unit that `line` counts, if it is not lines

    @property
    def origin(self) -> str:
        """The row's name in messages: "train.jsonl, line 3"."""
        return f"{self.table}, {self.unit} {self.line}"

    def with_fields(self, **fields: Any) -> "TableRow":
        """Return the row with other values for some fields."""
        return replace(self, fields=self.fields | fields)

    def error(self, problem: str) -> DataError:
        """Return an error that names the row."""
        return DataError(f"{self.origin}: {problem}")


def read_rows(table: Path, options: SourceOptions, bad: list[DataError], quoted: bool = True) -> Iterator[TableRow]:
    """Read the rows of a table. A name that ends in .jsonl or .json is a table of JSON lines, any other a CSV table.

    Args:
        table: The file.
        options: The names of columns. A CSV table must have one of recordings, and one of texts.
        bad: Gets an error for each row that cannot be read, which is skipped.
        quoted: Whether a CSV table has double quotes around some values. If not, they are a part of the text.

    Raises:
        DataError: The table as a whole cannot be read. The message names it and, if possible, the line.
    """
    lines = io.StringIO(read_text(table), newline="").readlines()
    is_json = table.suffix in (".jsonl", ".json")
    rows = _json_rows(table, lines, bad) if is_json else _csv_rows(table, lines, options, bad, quoted)
    for row in rows:
        if is_text(row, bad):
            yield row


def is_text(row: TableRow, bad: list[DataError]) -> bool:
    """Return whether the strings of a row are text. If not, `bad` gets an error."""
    for column, value in row.fields.items():
        if isinstance(value, str) and _NOT_TEXT.search(value):
            bad.append(row.error(f"{column!r} holds characters that no text has: {value[:40]!r}"))
            return False
    return True


def read_text(table: Path) -> str:
    """Return the text of a file.

    Raises:
        DataError: It is not UTF-8. The message names the likely encoding.
    """
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
    names = [column_name(name) for name, _ in pairs]
    if repeated := _repeated(names):
        raise ValueError(f"two values for {repeated!r}")
    return dict(zip(names, (value for _, value in pairs), strict=True))


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"it has no {name}; write null if there is no value")


def _csv_rows(
    table: Path, lines: Sequence[str], options: SourceOptions, bad: list[DataError], quoted: bool
) -> Iterator[TableRow]:
    separator = _find_separator(lines, options)
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    reader = csv.reader(lines, delimiter=separator, strict=True, skipinitialspace=True, quoting=quoting)
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
            columns = _read_header(row, values, options)
            audio = next(columns.index(name) for name in options.audio_columns if name in columns)
        elif len(values) != len(columns):
            bad.append(row.error(_wrong_count(len(values), len(columns), _SEPARATORS[separator])))
        else:
            continued = enumerate(lines[row.line : reader.line_num], start=row.line + 1)
            _check_swallowed(row, [(line, _split(text, separator)) for line, text in continued], audio, values[audio])
            yield TableRow(table, row.line, {name: value for name, value in zip(columns, values, strict=True) if name})
    if not columns:
        raise DataError(f"{table}: the table is empty; its first line must name the columns")


def _find_separator(lines: Sequence[str], options: SourceOptions) -> str:
    """Return the separator that splits the header into most of the columns we know. A comma wins a tie."""
    header = next((line for line in lines if line.strip()), "")
    known = {*options.audio_columns, *options.text_columns}
    return max(_SEPARATORS, key=lambda separator: len(known.intersection(map(column_name, _split(header, separator)))))


def _split(line: str, separator: str) -> list[str]:
    return next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])


def _repeated(names: Sequence[str]) -> str | None:
    return next((name for i, name in enumerate(names) if name and name in names[:i]), None)


def _read_header(row: TableRow, values: Sequence[str], options: SourceOptions) -> list[str]:
    """Return the names of the columns, or raise DataError if they are not those of a table of clips."""
    columns = [column_name(value) for value in values]
    if repeated := _repeated(columns):
        raise row.error(f"two columns are called {repeated!r}; rename one of them")
    text = options.text_option.removesuffix("_column")
    for kind, names in (("audio", options.audio_columns), (text, options.text_columns)):
        if not set(names).intersection(columns):
            raise row.error(f"{missing_column(kind, names, columns)}; the first line must name the columns")
    return columns


def missing_column(kind: str, names: Sequence[str], found: Iterable[str]) -> str:
    """Describe a table without a column.

    Args:
        kind: The kind of the column, as in the flag that names it: "audio", "text".
        names: The names that the column can have.
        found: The names of the columns that there are.
    """
    there = ", ".join(filter(None, found))[:200] or "nothing"
    if len(names) == 1:
        return f"no {names[0]!r} column; found {there}"
    return f"no {kind} column (one of {', '.join(names)}); found {there}; give its name as --{kind}-column"


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
