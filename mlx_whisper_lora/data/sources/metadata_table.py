"""Read clips from metadata.jsonl, metadata.csv or metadata.tsv, the audiofolder convention of Hugging Face.

A row has `file_name` and a text column. The split of a row is its `split` column, or the subfolder (train, validation,
test) that holds its recording or its table. If no row has a split, the content of the clips decides
(`data/content.py`).
"""

from pathlib import Path

from mlx_whisper_lora.data.clip import SPLITS, DataError, Splits
from mlx_whisper_lora.data.sources.options import SourceOptions
from mlx_whisper_lora.data.sources.rows import make_clips
from mlx_whisper_lora.data.sources.splits import split_folders, split_of_path, split_rows
from mlx_whisper_lora.data.sources.tables import TableRow, read_rows

LAYOUT = "metadata.jsonl, metadata.csv or metadata.tsv"
_NAMES = ("metadata.jsonl", "metadata.csv", "metadata.tsv")
TABLES: tuple[str, ...] = (*_NAMES, *(f"*/{name}" for name in _NAMES))


def find_tables(folder: Path) -> list[Path]:
    """Return the folder's table, or else those of its subfolders that are named as a split."""
    if table := _find_table(folder):
        return [table]
    return [table for subfolder in split_folders(folder) if (table := _find_table(subfolder))]


def read(folder: Path, options: SourceOptions, bad: list[DataError]) -> Splits:
    """Read the folder's table, or those of its subfolders."""
    if table := _find_table(folder):
        rows = (_with_split(row, options) for row in read_rows(table, options, bad))
        return split_rows(make_clips(rows, options, bad), bad)
    clips: Splits = {split: [] for split in SPLITS}
    for subfolder, split in split_folders(folder).items():
        if table := _find_table(subfolder):
            clips[split] += [clip for _, clip in make_clips(read_rows(table, options, bad), options, bad)]
    return clips


def _find_table(folder: Path) -> Path | None:
    return next((folder / name for name in _NAMES if (folder / name).exists()), None)


def _with_split(row: TableRow, options: SourceOptions) -> TableRow:
    """Give a row without a split that of the folder of its recording."""
    split = row.fields.get("split")
    names = [row.fields[name] for name in options.audio_columns if name in row.fields]
    if (split is None or not str(split).strip()) and names and (found := split_of_path(str(names[0]))):
        return row.with_fields(split=found)
    return row
