"""Read clips of a Spontaneous Speech release of Common Voice: ss-corpus-{locale}.tsv beside audios/.

Recordings that nobody has transcribed yet are not clips. If some rows have a split, rows without one are not read, as
they were not validated.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from mlx_whisper_lora.data.clip import DataError, Splits
from mlx_whisper_lora.data.sources.options import SourceOptions
from mlx_whisper_lora.data.sources.rows import audio_column, is_language, make_clips, warn_left_out
from mlx_whisper_lora.data.sources.splits import split_rows
from mlx_whisper_lora.data.sources.tables import TableRow, read_rows

LAYOUT = "Spontaneous Speech (ss-corpus-*.tsv and audios/)"
_PREFIX = "ss-corpus-"
TABLES: tuple[str, ...] = (f"{_PREFIX}*.tsv",)


def find_tables(folder: Path) -> list[Path]:
    """Return the tables of all languages."""
    return sorted(folder.glob(TABLES[0])) if (folder / "audios").is_dir() else []


def read(folder: Path, options: SourceOptions, bad: list[DataError]) -> Splits:
    """Read the tables."""
    rows = [row for table in find_tables(folder) for row in _read_rows(table, options, bad)]
    rows = _keep(rows, options.text_columns, "no text")
    if any(_has_any(row, ("split",)) for row in rows):
        rows = _keep(rows, ("split",), "no split, as they were not validated")
    return split_rows(make_clips(rows, options, bad), bad)


def _keep(rows: Sequence[TableRow], columns: Sequence[str], reason: str) -> list[TableRow]:
    """Return the rows with a value in one of the columns. A warning counts the others."""
    if others := [row for row in rows if not _has_any(row, columns)]:
        warn_left_out(others, reason)
    return [row for row in rows if _has_any(row, columns)]


def _has_any(row: TableRow, columns: Sequence[str]) -> bool:
    return any(row.fields.get(name, "").strip() for name in columns)


def _read_rows(table: Path, options: SourceOptions, bad: list[DataError]) -> Iterator[TableRow]:
    locale = table.stem.removeprefix(_PREFIX)
    for row in read_rows(table, options, bad, quoted=False):
        column = audio_column(row, options)
        fields = {column: f"audios/{row.fields[column]}", "language": locale if is_language(locale) else None}
        yield row.with_fields(**fields)
