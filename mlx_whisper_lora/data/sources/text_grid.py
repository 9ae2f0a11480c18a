"""Read the intervals of Praat's TextGrid files, in the long and in the short text form.

Both forms are one sequence of values, as Praat ignores whatever is not a string, or a number or a flag between spaces.
https://www.fon.hum.uva.nl/praat/manual/TextGrid_file_formats.html
"""

import codecs
import re
from pathlib import Path
from typing import NamedTuple

from mlx_whisper_lora.data.clip import DataError
from mlx_whisper_lora.data.sources.options import SourceOptions, column_name
from mlx_whisper_lora.data.sources.tables import TableRow, read_text

_VALUE = re.compile(r'"((?:[^"]|"")*)"|(?<!\S)(<\w+>|[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)(?!\S)')


class _Tier(NamedTuple):
    name: str
    rows: list[TableRow]  # of the intervals that have a text


def read_text_grid(path: Path, options: SourceOptions) -> list[TableRow]:
    """Read the intervals of one tier that have a text, with `start` and `end`.

    The tier is that of `text_column`, or the only one, or the one that is called as columns of texts are.

    Args:
        path: The file.
        options: The first name of the column of texts becomes the field with the text.

    Raises:
        DataError: The file is not a TextGrid, or it is not clear which tier has the texts.
    """
    data = path.read_bytes()
    is_utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))  # Praat writes most scripts in it
    text = data.decode("utf-16", errors="replace") if is_utf16 else read_text(path)
    try:
        tiers = _read_tiers(path, _Values(text), options.text_columns[0])
    except (StopIteration, ValueError, OverflowError):
        raise DataError(
            f"{path}: not a TextGrid, or a part of it is missing; save it in Praat as a text file"
        ) from None
    named = [tier for tier in tiers if column_name(tier.name) in options.text_columns]
    if options.text_column is None and len(tiers) == 1:
        named = tiers
    if len(named) != 1:
        names = ", ".join(tier.name for tier in tiers) or "nothing"
        raise DataError(f"{path}: which tier has the texts? Found {names}; name one with --text-column")
    return named[0].rows


class _Values:
    """The values of a file, one after the other."""

    def __init__(self, text: str):
        self._text = text
        self._matches = _VALUE.finditer(text)
        self._counted = 0
        self.line = 1  # of the newest value

    def string(self) -> str:
        return self._next(1).replace('""', '"')

    def number(self) -> float:
        return float(self._next(2))

    def flag(self) -> str:
        return self._next(2)

    def _next(self, group: int) -> str:
        match = next(self._matches)
        self.line += self._text.count("\n", self._counted, match.start())
        self._counted = match.start()
        if match[group] is None:
            raise ValueError("a string instead of a number, or a number instead of a string")
        return match[group]


def _read_tiers(path: Path, values: _Values, column: str) -> list[_Tier]:
    """Return the tiers of intervals. Raise ValueError or StopIteration if the values are not those of a TextGrid."""
    values.string()  # the type of the file, with "short" in it or not
    if values.string() != "TextGrid":
        raise ValueError("another object of Praat")
    values.number(), values.number()
    tiers = []
    for _ in range(int(values.number()) if values.flag() == "<exists>" else 0):
        kind, tier = values.string(), _Tier(values.string(), [])
        values.number(), values.number()
        for _ in range(int(values.number())):
            start = values.number()
            line = values.line
            end = values.number() if kind == "IntervalTier" else start
            text = values.string().strip()
            if text:
                tier.rows.append(TableRow(path, line, {"start": start, "end": end, column: " ".join(text.split())}))
        if kind == "IntervalTier":
            tiers.append(tier)
    return tiers
