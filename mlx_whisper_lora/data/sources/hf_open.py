"""Open a Hugging Face data set: a folder, or a repository of the Hub, which is downloaded or streamed.

The Hub itself converts many data sets to Parquet, in the branch refs/convert/parquet. This branch is read if a
repository has no Parquet files, or has a script, which is never run.
"""

import sys
import warnings
from collections.abc import Collection
from pathlib import Path
from typing import Any, TypeAlias

import datasets
from huggingface_hub import constants, snapshot_download
from huggingface_hub.errors import LocalEntryNotFoundError

from mlx_whisper_lora.data.clip import DataError
from mlx_whisper_lora.data.sources.hf_errors import READ_ERRORS, reason_of
from mlx_whisper_lora.data.sources.hf_options import HubDataOptions
from mlx_whisper_lora.data.sources.hf_stream import ParquetStream, open_stream
from mlx_whisper_lora.whisper.checkpoints.hub import HubError, repository_info
from mlx_whisper_lora.whisper.option import OptionError

Rows: TypeAlias = datasets.Dataset | ParquetStream  # of one split
SAVED_FILES = ("dataset_dict.json", "state.json")  # of save_to_disk, for several splits and for one
_CONVERTED = "refs/convert/parquet"


def open_dataset(name: str, options: HubDataOptions) -> dict[str, Rows]:
    """Open a data set.

    Args:
        name: A folder, or a repository as "owner/name" or "owner/name@revision".
        options: The configuration, and whether to stream.

    Returns:
        The rows of each split. Those of a set that was saved without splits are called "train".

    Raises:
        DataError: There is no such data set, or it cannot be read without a login, or at all.
        OptionError: It has several configurations, or lacks the one in the options.
    """
    datasets.logging.set_verbosity_error()  # it warns of every attempt to reach the Hub
    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
    folder = Path(name)
    if not folder.is_dir():
        return _open_repository(name, options)
    if any((folder / file).exists() for file in SAVED_FILES):
        if options.hf_dataset_lang is not None:
            raise OptionError(f"`hf_dataset_lang`: {name} was saved without configurations; leave out the option")
        return _open_saved(folder)
    return _load(name, name, options, options.hf_dataset_lang)


def _open_saved(folder: Path) -> dict[str, Rows]:
    """Open a folder that save_to_disk wrote."""
    try:
        found = datasets.load_from_disk(str(folder))
    except READ_ERRORS as error:
        raise DataError(f"{folder}: the saved data set cannot be read ({reason_of(error)}); save it again") from None
    return dict(found) if isinstance(found, datasets.DatasetDict) else {"train": found}


def _open_repository(name: str, options: HubDataOptions) -> dict[str, Rows]:
    """Open a repository of the Hub, or the Hub's conversion of it."""
    repository, _, revision = name.partition("@")
    if constants.HF_HUB_OFFLINE:
        if options.hf_streaming:
            raise OptionError(f"{name}: nothing can be streamed while HF_HUB_OFFLINE is set; leave out `hf_streaming`")
        if folder := _converted_folder(repository, options):
            return _load(name, str(folder), options, None)
        return _load(name, repository, options, options.hf_dataset_lang)
    try:
        info = repository_info(repository, revision or None, "dataset")
    except HubError as error:
        raise DataError(f"{name}: {error}") from None
    files = [file.rfilename for file in info.siblings or ()]
    is_script = f"{repository.partition('/')[2]}.py" in files
    if not is_script and any(file.endswith(".parquet") for file in files):
        return _load(name, repository, options, options.hf_dataset_lang, revision=info.sha)
    return _open_converted(name, repository, options, "is a script" if is_script else "has no Parquet files")


def _open_converted(name: str, repository: str, options: HubDataOptions, problem: str) -> dict[str, Rows]:
    """Open the Parquet files that the Hub made of a data set: configuration/split/0000.parquet."""
    try:
        info = repository_info(repository, _CONVERTED, "dataset")
    except HubError as error:
        raise DataError(
            f"{name}: the data set {problem}, and the Hub has not converted it to Parquet ({error}); download it, and "
            "give a folder of recordings with a table"
        ) from None
    parts = [file.rfilename.split("/") for file in info.siblings or () if file.rfilename.endswith(".parquet")]
    configurations = sorted({part[0] for part in parts if len(part) == 3})
    config = options.hf_dataset_lang or (configurations[0] if len(configurations) == 1 else None)
    if config not in configurations:
        raise _wrong_configuration(name, config, configurations)
    if any(part[0] == config and part[1].startswith("partial-") for part in parts):
        warnings.warn(f"{name}: the Hub has converted only the first part of this data set to Parquet", stacklevel=2)
    if options.hf_streaming:
        return _load(name, repository, options, None, data_dir=config, revision=info.sha)
    try:
        folder = Path(
            snapshot_download(repository, repo_type="dataset", revision=_CONVERTED, allow_patterns=f"{config}/*")
        )
    except READ_ERRORS as error:
        raise DataError(f"{name}: the download from the Hugging Face Hub failed ({reason_of(error)})") from None
    return _load(name, str(folder / config), options, None)


def _converted_folder(repository: str, options: HubDataOptions) -> Path | None:
    """Return the folder of a conversion in the cache of downloads, if it is there."""
    try:
        folder = Path(snapshot_download(repository, repo_type="dataset", revision=_CONVERTED, local_files_only=True))
    except LocalEntryNotFoundError:
        return None
    configurations = [path for path in folder.iterdir() if options.hf_dataset_lang in (None, path.name)]
    return configurations[0] if len(configurations) == 1 else None


def _load(name: str, path: str, options: HubDataOptions, config: str | None, **where: Any) -> dict[str, Rows]:
    """Load the splits of a folder or a repository, or find their files to stream. Errors call the data set `name`."""
    try:
        if not options.hf_streaming:
            return dict(datasets.load_dataset(path, config, **where))
        files = datasets.load_dataset_builder(path, config, **where).config.data_files or {}
    except READ_ERRORS as error:
        raise _explain(name, path, config, error, where) from None
    return {str(split): open_stream(list(found)) for split, found in files.items()}


def _explain(name: str, path: str, config: str | None, problem: Exception, where: dict[str, Any]) -> ValueError:
    """Return the error that says why a data set cannot be loaded, and what to do."""
    if constants.HF_HUB_OFFLINE and not Path(path).is_dir():
        return DataError(
            f"{name}: no local folder, and not in the cache of downloads, or not completely, and HF_HUB_OFFLINE is set "
            f"({reason_of(problem)})"
        )
    try:
        configurations = datasets.get_dataset_config_names(path, **where)
    except READ_ERRORS:
        configurations = []
    if configurations and config not in configurations and (config or len(configurations) > 1):
        return _wrong_configuration(name, config, configurations)
    return DataError(f"{name}: the data set cannot be read ({reason_of(problem)})")


def _wrong_configuration(name: str, config: str | None, known: Collection[str]) -> OptionError:
    given = f"got {config!r}" if config else "and is not given"
    return OptionError(f"`hf_dataset_lang` must be a configuration of {name}: {', '.join(known)}; {given}")
