"""The splits of clips: by a column, by the names of folders and files, or by content."""

import re
from collections.abc import Iterable
from pathlib import Path

from mlx_whisper_lora.data.clip import SPLITS, Clip, DataError, Splits
from mlx_whisper_lora.data.content import split_by_content
from mlx_whisper_lora.data.sources.tables import TableRow

SPLIT_NAMES = {split: split for split in SPLITS} | {"validation": "valid", "val": "valid", "dev": "valid"}


def split_rows(clips: Iterable[tuple[TableRow, Clip]], bad: list[DataError]) -> Splits:
    """Split clips as the field `split` of their rows says, or by their content if none of them says anything.

    Args:
        clips: The rows with their clips.
        bad: Gets an error for each row whose split is unknown.
    """
    clips = list(clips)
    names = [str(row.fields.get("split") or "").strip().casefold() for row, _ in clips]
    if not any(names):
        return split_by_content([clip for _, clip in clips])
    splits: Splits = {split: [] for split in SPLITS}
    for name, (row, clip) in zip(names, clips, strict=True):
        if name in SPLIT_NAMES:
            splits[SPLIT_NAMES[name]].append(clip)
        else:
            bad.append(row.error(f"split is {name or None!r}; expected train, valid or test"))
    return splits


def split_folders(folder: Path) -> dict[Path, str]:
    """Return the subfolders that are named as a split, such as train and dev, with their splits."""
    named = sorted(path for path in folder.iterdir() if path.name.casefold() in SPLIT_NAMES)
    return {path: SPLIT_NAMES[path.name.casefold()] for path in named if path.is_dir()}


def split_of_path(path: str) -> str | None:
    """Return the split that the first folder of a relative path is named as; `data/` before it does not count."""
    parts = path.replace("\\", "/").removeprefix("./").removeprefix("data/").casefold().split("/")
    return SPLIT_NAMES.get(parts[0]) if len(parts) > 1 else None


def split_in_name(name: str) -> str | None:
    """Return the split that is a part of a name, such as train-clean-100 or manifest_dev.json."""
    parts = re.split(r"[-_.\s]", name.casefold())
    return next((SPLIT_NAMES[part] for part in parts if part in SPLIT_NAMES), None)
