"""Read clips from train.jsonl, valid.jsonl and test.jsonl: one table a split, with `audio` and `text` in each row."""

from pathlib import Path

from mlx_whisper_lora.data.clip import SPLITS, Clip, Splits
from mlx_whisper_lora.data.sources.tables import make_clip, read_rows


def matches(folder: Path) -> bool:
    """Return whether the folder has a table for any split."""
    return any(_table(folder, split).exists() for split in SPLITS)


def read(folder: Path) -> Splits:
    """Read the tables."""
    return {split: _read_table(_table(folder, split)) for split in SPLITS}


def _table(folder: Path, split: str) -> Path:
    return folder / f"{split}.jsonl"


def _read_table(table: Path) -> list[Clip]:
    return [make_clip(row, "audio") for row in read_rows(table)] if table.exists() else []
