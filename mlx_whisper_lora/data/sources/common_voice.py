"""Read clips of a Common Voice release: train.tsv, dev.tsv and test.tsv beside clips/.

Releases differ in their columns. `path`, `sentence` and `client_id` are in all of them, and `locale` in newer ones.
Clips that are in none of the three tables are not read, except those of validated.tsv with `common_voice_validated`.
"""

from collections.abc import Iterator
from pathlib import Path

from mlx_whisper_lora.data.clip import SPLITS, DataError, Splits
from mlx_whisper_lora.data.sources.options import SourceOptions
from mlx_whisper_lora.data.sources.rows import audio_column, is_language, make_clips
from mlx_whisper_lora.data.sources.tables import TableRow, read_rows

LAYOUT = "Common Voice (train.tsv and clips/)"
_TABLES = {"train": "train.tsv", "valid": "dev.tsv", "test": "test.tsv"}
_VALIDATED = "validated.tsv"
TABLES: tuple[str, ...] = tuple(_TABLES.values())


def find_tables(folder: Path) -> list[Path]:
    """Return the tables of the splits, or validated.tsv if there are none."""
    if not (folder / "clips").is_dir():
        return []
    found = [folder / name for name in (*TABLES, _VALIDATED) if (folder / name).is_file()]
    return [table for table in found if table.name != _VALIDATED] or found


def read(folder: Path, options: SourceOptions, bad: list[DataError]) -> Splits:
    """Read the tables of the splits.

    Raises:
        DataError: A table cannot be read as a whole; or `common_voice_validated` needs one that is missing, or only
            with it the folder has clips.
    """
    tables = {split: folder / name for split, name in _TABLES.items() if (folder / name).is_file()}
    if options.common_voice_validated:
        tables["train"] = folder / _VALIDATED
        if not tables["train"].is_file():
            raise DataError(f"{tables['train']}: no such table, which --common-voice-validated trains on")
    elif not tables:
        advice = "give --common-voice-validated to train on this table"
        raise DataError(f"{folder / _VALIDATED}: without {_TABLES['train']}; {advice}")
    rows = {split: list(_read_rows(table, options, bad)) for split, table in tables.items()}
    if options.common_voice_validated:
        kept = {_recording(row, options) for split in ("valid", "test") for row in rows.get(split, [])}
        rows["train"] = [row for row in rows["train"] if _recording(row, options) not in kept]
    return {split: [clip for _, clip in make_clips(rows.get(split, []), options, bad)] for split in SPLITS}


def _read_rows(table: Path, options: SourceOptions, bad: list[DataError]) -> Iterator[TableRow]:
    """Read the rows of a table. A sentence may hold single double quotes, as the tables are not quoted."""
    for row in read_rows(table, options, bad, quoted=False):
        fields = {name: _unquote(value) for name, value in row.fields.items()}
        column = audio_column(row, options)
        name = fields[column] if Path(fields[column]).suffix else f"{fields[column]}.mp3"  # as in the oldest releases
        fields[column] = f"clips/{name}" if fields[column] else ""
        if not is_language(fields.get("locale")):
            fields.pop("locale", None)
        yield TableRow(row.table, row.line, fields)


def _recording(row: TableRow, options: SourceOptions) -> str:
    return row.fields[audio_column(row, options)]


def _unquote(value: str) -> str:
    """Return a value that some releases have written between double quotes, with each one in it twice."""
    quoted = len(value) > 2 and value[0] == value[-1] == '"' and '""' in value[1:-1]
    return value[1:-1].replace('""', '"') if quoted else value
