"""Read clips from a Hugging Face data set: a repository, a folder that save_to_disk wrote, or one of Parquet files.

The package `datasets` reads it, and is imported only then. It never decodes a recording: the clips keep the bytes.
"""

import importlib.util
import re
import warnings
from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from mlx_whisper_lora.data.clip import SPLITS, Clip, DataError, Splits
from mlx_whisper_lora.data.content import split_by_content
from mlx_whisper_lora.data.sources.hf_options import HubDataOptions
from mlx_whisper_lora.data.sources.options import SourceOptions
from mlx_whisper_lora.data.sources.split_expression import SplitPart, parse_split
from mlx_whisper_lora.data.sources.splits import SPLIT_NAMES
from mlx_whisper_lora.whisper.option import OptionError

_REPOSITORY = re.compile(r"\w[\w.-]*/[\w.-]+(@[\w./-]+)?")
_FOLDER_FILES = ("dataset_dict.json", "state.json", "*.parquet", "*/*.parquet", "*/*/*.parquet")
_INSTALL = "pip install 'mlx_whisper_lora[hf]'"


def is_dataset(data: str | PathLike, *, named: bool = False) -> bool:
    """Return whether a name is that of a repository, or that of a folder which `datasets` has written.

    Args:
        data: The name.
        named: Whether the user calls it a data set. If not, a name such as data/telugu is that of a missing folder if
            there is a folder data.
    """
    folder = Path(data)
    if folder.is_dir():
        return any(next(folder.glob(pattern), None) for pattern in _FOLDER_FILES)
    return is_repository_name(data) and not folder.exists() and (named or not folder.parent.exists())


def is_repository_name(data: str | PathLike) -> bool:
    """Return whether a name has the form of that of a repository: owner/name or owner/name@revision."""
    return bool(_REPOSITORY.fullmatch(str(data)))


def read_dataset(data: str | PathLike, options: HubDataOptions, columns: SourceOptions, bad: list[DataError]) -> Splits:
    """Read the clips of a data set.

    The options say which of its splits are for training, validation and test, or else their names do. If it has one
    split alone, the content of the clips decides.

    Args:
        data: A folder, or a repository as "owner/name" or "owner/name@revision".
        options: The configuration, the splits, and whether to stream.
        columns: The columns to read.
        bad: Gets an error for each row that cannot be used, which is skipped.

    Raises:
        DataError: There is no such data set, it needs a login, it cannot be read, or it lacks a column.
        OptionError: It lacks a configuration, split or column that an option names.
    """
    name = str(data)
    if importlib.util.find_spec("datasets") is None:
        known = "a" if Path(data).is_dir() else "no such data folder; a"
        raise DataError(f"{name}: {known} Hugging Face data set needs the package datasets: {_INSTALL}")
    from mlx_whisper_lora.data.sources.hf_open import open_dataset
    from mlx_whisper_lora.data.sources.hf_rows import read_split

    rows = open_dataset(name, options)

    def read(parts: Sequence[SplitPart]) -> list[Clip]:
        return read_split(name, rows, parts, columns, options.hf_max_clips, bad)

    if only := _split_to_divide(list(rows), options):
        warnings.warn(
            f"{name}: its only split, {only}, is divided by content, a tenth each to valid and test", stacklevel=2
        )
        return split_by_content(read([SplitPart(only)]))
    parts = _choose_parts(name, list(rows), options)
    return {split: read(parts.get(split, [])) for split in SPLITS}


def _split_to_divide(there: Sequence[str], options: HubDataOptions) -> str | None:
    """Return the only split of a data set, unless an option or its name says what it is for."""
    given = options.train_split or options.valid_split or options.test_split
    only = there[0] if len(there) == 1 and not given else None
    return only if only and SPLIT_NAMES.get(only, "train") == "train" else None


def _choose_parts(name: str, there: Sequence[str], options: HubDataOptions) -> dict[str, list[SplitPart]]:
    """Return the parts of the data set that make up train, valid and test: those in the options, or else by name."""
    given = {split: getattr(options, f"{split}_split") for split in SPLITS}
    parts = {split: parse_split(text, f"{split}_split") for split, text in given.items() if text}
    for split, found in parts.items():
        if missing := [part.split for part in found if part.split not in there]:
            raise OptionError(f"`{split}_split`: {name} has no split {missing[0]!r}; it has {', '.join(there)}")
    named = {part.split for found in parts.values() for part in found}
    for each in there:
        usual = SPLIT_NAMES.get(each)
        if usual and usual not in parts and each not in named:
            parts[usual] = [SplitPart(each)]
            named.add(each)
    if not parts:
        raise OptionError(f"`train_split` is not given, and {name} has no split train, but {', '.join(there)}")
    if unread := [each for each in there if each not in named]:
        options_ = "`train_split`, `valid_split` and `test_split`"
        warnings.warn(f"{name}: splits that are not read: {', '.join(unread)}; {options_} can name them", stacklevel=3)
    return parts
