"""Read clips from NeMo manifests, *manifest*.json: lines of JSON with `audio_filepath`, `text`, `offset`, `duration`.

A clip is the stretch of `duration` seconds from `offset`, as in NeMo; without an offset, it starts with the recording.
The split is in the name of a manifest, such as train_manifest.json. Manifests without one are read if none has one.
"""

from pathlib import Path

from mlx_whisper_lora.data.clip import DataError, Splits
from mlx_whisper_lora.data.sources.options import SourceOptions
from mlx_whisper_lora.data.sources.rows import make_clips
from mlx_whisper_lora.data.sources.splits import split_in_name, split_rows
from mlx_whisper_lora.data.sources.tables import TableRow, read_rows

LAYOUT = "NeMo (*manifest*.json)"
TABLES: tuple[str, ...] = ("*manifest*.json", "*manifest*.jsonl")


def find_tables(folder: Path) -> list[Path]:
    """Return the manifests with a split in their names, or else all of them."""
    found = sorted(path for pattern in TABLES for path in folder.glob(pattern))
    return [path for path in found if split_in_name(path.name)] or found


def read(folder: Path, options: SourceOptions, bad: list[DataError]) -> Splits:
    """Read the manifests."""
    rows = (_with_offset(row) for table in find_tables(folder) for row in read_rows(table, options, bad))
    return split_rows(make_clips(rows, options, bad), bad)


def _with_offset(row: TableRow) -> TableRow:
    offset = row.fields.get("offset")
    return row.with_fields(split=split_in_name(row.table.name), offset=0 if offset is None else offset)
