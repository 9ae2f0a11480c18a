"""Read clips of a Spontaneous Speech release of Common Voice: ss-corpus-{locale}.tsv beside audios/.

Recordings that nobody has transcribed yet are not clips. If some rows have a split, rows without one are not read, as
they were not validated.
"""

from collections.abc import Iterator
from pathlib import Path

from mlx_whisper_lora.data.clip import DataError, Splits
from mlx_whisper_lora.data.sources.options import SourceOptions
from mlx_whisper_lora.data.sources.rows import audio_column, is_language, make_clips
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
    validated = [row for row in rows if str(row.fields.get("split", "")).strip()]
    return split_rows(make_clips(validated or rows, options, bad), bad)


def _read_rows(table: Path, options: SourceOptions, bad: list[DataError]) -> Iterator[TableRow]:
    locale = table.stem.removeprefix(_PREFIX)
    for row in read_rows(table, options, bad, quoted=False):
        if any(row.fields.get(name, "").strip() for name in options.text_columns):
            column = audio_column(row, options)
            fields = {column: f"audios/{row.fields[column]}", "language": locale if is_language(locale) else None}
            yield row.with_fields(**fields)
