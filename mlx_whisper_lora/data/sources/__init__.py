"""Find the clips of a data folder. Each other module of this package reads one layout of such a folder."""

from os import PathLike
from pathlib import Path
from typing import Protocol

from mlx_whisper_lora.data.clip import DataError, Splits
from mlx_whisper_lora.data.sources import metadata_table, split_jsonl


class Source(Protocol):
    """A layout of data folders; the modules in SOURCES follow it."""

    def matches(self, folder: Path) -> bool:
        """Return whether the folder has this layout."""

    def read(self, folder: Path) -> Splits:
        """Read the clips of such a folder."""


SOURCES: tuple[Source, ...] = (split_jsonl, metadata_table)  # the first that matches is read


def load_clips(folder: str | PathLike) -> Splits:
    """Read the tables of a data folder, in whichever layout it has.

    Args:
        folder: A folder of recordings with a table.

    Returns:
        The clips for "train", "valid" and "test"; each list may be empty.

    Raises:
        DataError: The folder has no table, or a row lacks a column, names a missing recording or has a bad value.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such data folder")
    for source in SOURCES:
        if source.matches(folder):
            return source.read(folder)
    raise DataError(f"{folder}: no clips; expected train.jsonl, metadata.jsonl or metadata.csv (see README.md)")
