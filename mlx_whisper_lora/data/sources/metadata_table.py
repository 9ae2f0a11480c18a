"""Read clips from metadata.jsonl, metadata.csv or metadata.tsv, the audiofolder convention of Hugging Face.

A row has `file_name` and a text column. The split of a row is its `split` column, or the subfolder (train, validation,
test) that holds its recording or its table. If no row has a split, the content of the clips decides
(`data/content.py`).
"""

from collections.abc import Sequence
from pathlib import Path

from mlx_whisper_lora.data.clip import SPLITS, DataError, Splits
from mlx_whisper_lora.data.content import split_by_content
from mlx_whisper_lora.data.sources.rows import make_clips
from mlx_whisper_lora.data.sources.tables import TableRow, read_rows

AUDIO_COLUMN = "file_name"
SPLIT_NAMES = {split: split for split in SPLITS} | {"validation": "valid", "val": "valid", "dev": "valid"}
_NAMES = ("metadata.jsonl", "metadata.csv", "metadata.tsv")
TABLES = (*_NAMES, *(f"{folder}/{name}" for folder in SPLIT_NAMES for name in _NAMES))


def find_tables(folder: Path) -> list[Path]:
    """Return the folder's table, or else those of its subfolders that are named as a split."""
    if table := _find_table(folder):
        return [table]
    return [table for name in SPLIT_NAMES if (table := _find_table(folder / name))]


def read(folder: Path, bad: list[DataError]) -> Splits:
    """Read the folder's table, or those of its subfolders."""
    if table := _find_table(folder):
        return _split_rows(list(read_rows(table, AUDIO_COLUMN, bad)), bad)
    clips: Splits = {split: [] for split in SPLITS}
    for table in find_tables(folder):
        rows = list(read_rows(table, AUDIO_COLUMN, bad))
        clips[SPLIT_NAMES[table.parent.name]] += [clip for _, clip in make_clips(rows, AUDIO_COLUMN, bad)]
    return clips


def _find_table(folder: Path) -> Path | None:
    return next((folder / name for name in _NAMES if (folder / name).exists()), None)


def _split_rows(rows: Sequence[TableRow], bad: list[DataError]) -> Splits:
    """Split rows as they say, or by their content if none of them says anything."""
    clips = list(make_clips(rows, AUDIO_COLUMN, bad))
    if not any(map(_split_name, rows)):
        return split_by_content([clip for _, clip in clips])
    splits: Splits = {split: [] for split in SPLITS}
    for row, clip in clips:
        name = _split_name(row)
        if name in SPLIT_NAMES:
            splits[SPLIT_NAMES[name]].append(clip)
        else:
            bad.append(row.error(f"split is {name!r}; expected train, valid or test"))
    return splits


def _split_name(row: TableRow) -> str | None:
    """Return the row's `split` column, or the first folder of its file name if that is named as a split."""
    split = row.fields.get("split")
    if split is not None and str(split).strip():
        return str(split).strip().casefold()
    folder = str(row.fields.get(AUDIO_COLUMN)).replace("\\", "/").removeprefix("./").partition("/")[0].casefold()
    return folder if folder in SPLIT_NAMES else None
