"""Find the clips of a data folder. Each other module of this package reads one layout of such a folder, or helps."""

import os
from collections import Counter
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import NamedTuple, Protocol

from mlx_whisper_lora.data.clip import DataError, Splits, check_none_bad
from mlx_whisper_lora.data.memory import collections_paused
from mlx_whisper_lora.data.sources import (
    common_voice,
    kaldi,
    libri_speech,
    lj_speech,
    metadata_table,
    nemo_manifest,
    split_jsonl,
    spontaneous_speech,
    transcripts,
)
from mlx_whisper_lora.data.sources.hf_dataset import is_dataset, is_repository_name, read_dataset
from mlx_whisper_lora.data.sources.hf_options import HubDataOptions
from mlx_whisper_lora.data.sources.options import SourceOptions
from mlx_whisper_lora.whisper.option import OptionError

_MOST_KINDS = 6  # kinds of files that a message counts


class Source(Protocol):
    """A layout of data folders; the modules in SOURCES follow it.

    Attributes:
        LAYOUT: the layout in a few words, for messages.
        TABLES: patterns of the paths in a folder that belong to tables of this layout alone.
    """

    LAYOUT: str
    TABLES: tuple[str, ...]

    def find_tables(self, folder: Path) -> list[Path]:
        """Return the tables that `read` reads, or none if the folder has another layout."""

    def read(self, folder: Path, options: SourceOptions, bad: list[DataError]) -> Splits:
        """Read the clips of such a folder. `bad` gets an error for each row that cannot be used."""


SOURCES: tuple[Source, ...] = (  # the first that has tables is read
    split_jsonl,
    lj_speech,
    metadata_table,
    common_voice,
    spontaneous_speech,
    kaldi,
    nemo_manifest,
    libri_speech,
    transcripts,
)


class _Found(NamedTuple):
    """The tables of a folder, and the source that reads them."""

    source: Source
    folder: Path  # the data folder, or data/ in it
    tables: list[Path]


@collections_paused()
def load_clips(
    folder: str | PathLike,
    bad: list[DataError] | None = None,
    options: SourceOptions | None = None,
    hub: HubDataOptions | None = None,
) -> Splits:
    """Read the clips of a data folder, in whichever layout it has, or of a Hugging Face data set.

    Args:
        folder: A folder of recordings with their texts. The layout may also be in a subfolder data/. Or a Hugging Face
            data set, as a folder or as "owner/name". If there is a folder of that name, it is chosen first. If there is
            a folder "owner", the name is that of a missing folder, unless it is `hub.hf_dataset`.
        bad: Gets an error for each row that cannot be used, which is skipped. By default, such rows are an error.
        options: The names of columns, and of splits.
        hub: How a Hugging Face data set is read.

    Returns:
        The clips for "train", "valid" and "test"; each list may be empty.

    Raises:
        DataError: The folder has no layout that is known, or a table that cannot be read; or rows lack a column, name a
            missing recording or have a bad value, and `bad` was not given. The message then names the first ten.
        OptionError: A Hugging Face data set lacks what `options` or `hub` ask for.
    """
    folder = Path(folder)
    options, hub = options or SourceOptions(), hub or HubDataOptions()
    found = _find(folder)
    errors: list[DataError] = []
    if found is not None:
        clips = found.source.read(found.folder, options, errors)
    elif is_dataset(folder, named=hub.hf_dataset is not None):
        clips = read_dataset(folder, hub, options, errors)
    else:
        raise _no_clips(folder)
    if bad is None:
        check_none_bad(errors)
    else:
        bad += errors
    return clips


def check_options_used(folders: Sequence[str | PathLike], options: SourceOptions, hub: HubDataOptions) -> None:
    """Check that options for one kind of data are not given for others alone.

    Args:
        folders: What `load_clips` has read.
        options: The options for folders.
        hub: The options for Hugging Face data sets.

    Raises:
        OptionError: No data is of the kind that an option is for.
    """
    if not (options.common_voice_validated or hub.given):
        return
    places = [Path(folder) for folder in folders]
    found = {place: _find(place) for place in places}
    where = ", ".join(map(str, places)) + (" is not one" if len(places) == 1 else " are not")
    if options.common_voice_validated and not any(each and each.source is common_voice for each in found.values()):
        raise OptionError(f"`common_voice_validated` is for Common Voice releases (validated.tsv and clips/); {where}")
    if hub.given and all(found.values()):
        raise OptionError(f"`{hub.given[0]}` is for Hugging Face data sets; {where}")


def unused_tables(folder: str | PathLike) -> list[Path]:
    """Return the tables of a data folder that `load_clips` ignores, because it reads others."""
    found = _find(Path(folder))
    if found is None:
        return []
    patterns = (pattern for source in SOURCES for pattern in source.TABLES)
    tables = (table for pattern in patterns for table in sorted(found.folder.glob(pattern)))
    return [table for table in tables if table not in found.tables]


def _find(folder: Path) -> _Found | None:
    places = [place for place in (folder, folder / "data") if place.is_dir()]
    for source in SOURCES:
        for place in places:
            if tables := source.find_tables(place):
                return _Found(source, place, tables)
    return None


def _no_clips(folder: Path) -> DataError:
    """Return the error for a path that is not a data folder of a known layout."""
    if folder.is_file():
        return DataError(f"{folder}: a file, not a data folder; give the folder that holds the table")
    if not folder.is_dir():
        hint = f"; if it is a data set of the Hugging Face Hub, give --hf-dataset {folder}"
        return DataError(f"{folder}: no such data folder{hint if is_repository_name(folder) else ''}")
    expected = "; ".join(source.LAYOUT for source in SOURCES)
    return DataError(f"{folder}: no clips; found {_describe(folder)}; expected one of: {expected}")


def _describe(folder: Path) -> str:
    """Count the files of a folder by their kinds: "3 .wav files, 1 .xlsx file, in 2 folders"."""
    kinds: Counter[str] = Counter()
    n_folders = 0
    for _, folders, names in os.walk(folder):
        n_folders += len(folders)
        kinds.update(Path(name).suffix.casefold() or "suffixless" for name in names)
    counts = [f"{count} {kind} file{'s'[: count != 1]}" for kind, count in kinds.most_common(_MOST_KINDS)]
    others = kinds.total() - sum(count for _, count in kinds.most_common(_MOST_KINDS))
    counts += [f"{others} others"] * bool(others)
    return ", ".join(counts or ["no files"]) + (
        f", in {n_folders} subfolder{'s'[: n_folders != 1]}" if n_folders else ""
    )
