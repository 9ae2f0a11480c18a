"""Names of models: a path, "demo", a size of OpenAI's, or a repository on the Hugging Face Hub.

Repositories are downloaded into the Hub's cache (`HF_HOME`) once; with `HF_HUB_OFFLINE=1` only the cache is asked.
"""

from os import PathLike
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from mlx_whisper_lora.whisper.assets import DEMO_MODEL
from mlx_whisper_lora.whisper.checkpoints.config import read_model_config
from mlx_whisper_lora.whisper.checkpoints.layout import (
    CONFIG_FILE,
    GENERATION_CONFIG_FILE,
    INDEX_FILE,
    PREPROCESSOR_FILE,
    PT_SUFFIX,
    WEIGHT_FILES,
)
from mlx_whisper_lora.whisper.errors import CheckpointError

DEMO = "demo"  # the name of the bundled model
DOWNLOADED = (
    CONFIG_FILE, GENERATION_CONFIG_FILE, PREPROCESSOR_FILE, *WEIGHT_FILES, INDEX_FILE, "model-*-of-*.safetensors"
)  # fmt: skip
# The sizes as openai-whisper calls them, and where mlx-community keeps them.
SIZE_REPOSITORIES = {
    name: f"mlx-community/whisper-{name}-mlx"
    for name in ("tiny", "tiny.en", "base", "base.en", "small", "small.en", "medium", "medium.en",
                 "large-v1", "large-v2", "large-v3")
} | {
    "large": "mlx-community/whisper-large-v3-mlx",
    "large-v3-turbo": "mlx-community/whisper-large-v3-turbo",
    "turbo": "mlx-community/whisper-large-v3-turbo",
}  # fmt: skip
MODEL_HELP = (
    "a folder, a .pt file, a Hugging Face repository (name or name@revision), or one of mlx-community's by its size: "
    + ", ".join(SIZE_REPOSITORIES)
)
# The hub's, and those of the HTTP library beneath it, whichever it is.
HUB_ERRORS: tuple[type[Exception], ...] = (OSError, *HfHubHTTPError.__bases__)


def resolve_model(path_or_hf_repo: str | PathLike) -> Path:
    """The folder or `.pt` file of a model: `path_or_hf_repo` itself if there is one, the bundled folder for "demo",
    else the downloaded files of a Hub repository.

    "tiny", "large-v3-turbo" and the like stand for mlx-community's repositories of these sizes. `name@revision` takes a
    branch, tag or commit of a repository instead of its main branch. Raises CheckpointError.
    """
    path, name = Path(path_or_hf_repo), str(path_or_hf_repo)
    if path.is_dir():
        return path
    if name == DEMO:
        return DEMO_MODEL
    if path.exists():
        if path.suffix == PT_SUFFIX:
            return path
        raise CheckpointError(
            f"{path}: a model is a folder with {CONFIG_FILE} and weights or a .pt file, not this file"
        )
    repository, _, revision = name.partition("@")
    repository = SIZE_REPOSITORIES.get(repository, repository)
    if repository.count("/") != 1 or name.startswith((".", "/", "~")) or path.suffix == PT_SUFFIX:
        sizes = "" if "/" in name else f" or .pt file, and no size (of {', '.join(SIZE_REPOSITORIES)})"
        raise CheckpointError(f"{name}: no such model folder{sizes}")
    return download(name, repository, revision or None)


def download(name: str, repository: str, revision: str | None) -> Path:
    """The folder of a repository's files in the cache. Raises CheckpointError, which calls the model `name`."""
    try:
        # The configuration first, before gigabytes of weights that are not Whisper's.
        folder = Path(snapshot_download(repository, revision=revision, allow_patterns=[CONFIG_FILE]))
        if not (folder / CONFIG_FILE).exists():
            return Path(snapshot_download(repository, revision=revision, allow_patterns=["*" + PT_SUFFIX]))
        read_model_config(folder)
        return Path(snapshot_download(repository, revision=revision, allow_patterns=list(DOWNLOADED)))
    except RevisionNotFoundError:
        raise CheckpointError(f"{name}: {repository} on the Hugging Face Hub has no revision {revision!r}") from None
    except (RepositoryNotFoundError, HFValidationError):
        raise CheckpointError(f"{name}: neither a folder here nor a repository on the Hugging Face Hub") from None
    except LocalEntryNotFoundError:
        raise CheckpointError(
            f"{name}: not in the cache of downloads, or not wholly, and the Hugging Face Hub cannot be asked: there is "
            "no network, or HF_HUB_OFFLINE is set"
        ) from None
    except HUB_ERRORS as error:
        raise CheckpointError(f"{name}: not a folder here, and it cannot be had from the Hub ({error})") from None
