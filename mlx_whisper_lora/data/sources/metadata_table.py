"""Read clips from metadata.jsonl or metadata.csv, the audiofolder convention of Hugging Face.

A row has `file_name` and a text column. The split of a row is its `split` column, or the subfolder (train, validation,
test) that holds its recording or its table. If no row has a split, the content of the clips decides
(`data/content.py`).
"""

from pathlib import Path

from mlx_whisper_lora.data.clip import SPLITS, DataError, Splits
from mlx_whisper_lora.data.content import split_by_content
from mlx_whisper_lora.data.sources.tables import TableRow, make_clip, read_rows

TABLES = ("metadata.jsonl", "metadata.csv")
AUDIO_COLUMN = "file_name"
SPLIT_NAMES = {split: split for split in SPLITS} | {"validation": "valid", "val": "valid", "dev": "valid"}


def matches(folder: Path) -> bool:
    """Return whether the folder, or a subfolder named as a split, has a table."""
    return any(_find_table(place) for place in (folder, *(folder / name for name in SPLIT_NAMES)))


def read(folder: Path) -> Splits:
    """Read the folder's table, or those of its subfolders."""
    if table := _find_table(folder):
        return _split_rows(list(read_rows(table)))
    clips: Splits = {split: [] for split in SPLITS}
    for name, split in SPLIT_NAMES.items():
        if table := _find_table(folder / name):
            clips[split] += [make_clip(row, AUDIO_COLUMN) for row in read_rows(table)]
    return clips


def _find_table(folder: Path) -> Path | None:
    return next((folder / name for name in TABLES if (folder / name).exists()), None)


def _split_rows(rows: list[TableRow]) -> Splits:
    """Split rows as they say, or by their content if none of them says anything."""
    clips = [make_clip(row, AUDIO_COLUMN) for row in rows]
    names = [_split_name(row) for row in rows]
    if not any(names):
        return split_by_content(clips)
    splits: Splits = {split: [] for split in SPLITS}
    for row, clip, name in zip(rows, clips, names, strict=True):
        if name not in SPLIT_NAMES:
            raise DataError(f"{row.origin}: split is {name!r}; expected train, valid or test")
        splits[SPLIT_NAMES[name]].append(clip)
    return splits


def _split_name(row: TableRow) -> str | None:
    """Return the row's `split` column, or the first folder of its file name if that is named as a split."""
    if row.fields.get("split"):
        return str(row.fields["split"])
    folder = Path(row.fields[AUDIO_COLUMN]).parts[0]
    return folder if folder in SPLIT_NAMES else None
