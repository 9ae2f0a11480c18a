"""Find the clips of a data folder. Each other module of this package reads one layout of such a folder."""

from os import PathLike
from pathlib import Path
from typing import Protocol

from mlx_whisper_lora.data.clip import DataError, Splits, check_none_bad
from mlx_whisper_lora.data.memory import collections_paused
from mlx_whisper_lora.data.sources import metadata_table, split_jsonl


class Source(Protocol):
    """A layout of data folders; the modules in SOURCES follow it.

    Attributes:
        TABLES: the paths in a folder that tables of this layout can have.
    """

    TABLES: tuple[str, ...]

    def find_tables(self, folder: Path) -> list[Path]:
        """Return the tables that `read` reads, or none if the folder has another layout."""

    def read(self, folder: Path, bad: list[DataError]) -> Splits:
        """Read the clips of such a folder. `bad` gets an error for each row that cannot be used."""


SOURCES: tuple[Source, ...] = (split_jsonl, metadata_table)  # the first that has tables is read


@collections_paused()
def load_clips(folder: str | PathLike, bad: list[DataError] | None = None) -> Splits:
    """Read the tables of a data folder, in whichever layout it has.

    Args:
        folder: A folder of recordings with a table.
        bad: Gets an error for each row that cannot be used, which is skipped. By default, such rows are an error.

    Returns:
        The clips for "train", "valid" and "test"; each list may be empty.

    Raises:
        DataError: The folder has no table, or one that cannot be read; or rows lack a column, name a missing recording
            or have a bad value, and `bad` was not given. The message then names the first ten of them.
    """
    folder = Path(folder)
    if folder.is_file():
        raise DataError(f"{folder}: a file, not a data folder; give the folder that holds the table")
    if not folder.is_dir():
        raise DataError(f"{folder}: no such data folder")
    for source in SOURCES:
        if source.find_tables(folder):
            found: list[DataError] = []
            clips = source.read(folder, found)
            if bad is None:
                check_none_bad(found)
            else:
                bad += found
            return clips
    raise DataError(
        f"{folder}: no clips; expected train.jsonl, metadata.jsonl, metadata.csv or metadata.tsv (see README.md)"
    )


def unused_tables(folder: str | PathLike) -> list[Path]:
    """Return the tables of a data folder that `load_clips` ignores, because it reads others."""
    folder = Path(folder)
    read = next(filter(None, (source.find_tables(folder) for source in SOURCES)), [])
    found = [folder / name for source in SOURCES for name in source.TABLES if (folder / name).exists()]
    return [table for table in found if table not in read]
