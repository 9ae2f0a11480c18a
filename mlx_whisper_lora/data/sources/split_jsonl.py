"""Read clips from train.jsonl, valid.jsonl and test.jsonl: one table a split, with `audio` and `text` in each row."""

from pathlib import Path

from mlx_whisper_lora.data.clip import SPLITS, DataError, Splits
from mlx_whisper_lora.data.sources.options import SourceOptions
from mlx_whisper_lora.data.sources.rows import make_clips
from mlx_whisper_lora.data.sources.tables import read_rows

LAYOUT = "train.jsonl"
TABLES: tuple[str, ...] = tuple(f"{split}.jsonl" for split in SPLITS)


def find_tables(folder: Path) -> list[Path]:
    """Return the tables that there are."""
    return [folder / name for name in TABLES if (folder / name).exists()]


def read(folder: Path, options: SourceOptions, bad: list[DataError]) -> Splits:
    """Read the tables."""
    clips: Splits = {split: [] for split in SPLITS}
    for table in find_tables(folder):
        clips[table.stem] = [clip for _, clip in make_clips(read_rows(table, options, bad), options, bad)]
    return clips
