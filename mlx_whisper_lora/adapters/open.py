"""Open an adapter by its name: a file of ours, a folder of PEFT, or a repository on the Hugging Face Hub."""

from os import PathLike
from pathlib import Path

from mlx_whisper_lora.adapters.adapter_file import Adapter, AdapterConfig, read_adapter, read_adapter_config
from mlx_whisper_lora.adapters.peft import PEFT_FILES, is_peft, peft_files, read_peft
from mlx_whisper_lora.whisper.checkpoints.hub import download_repository, fetch_files, is_repository
from mlx_whisper_lora.whisper.errors import CheckpointError

ADAPTER_HELP = (
    "a file that mlx_whisper_lora.lora wrote, a folder of PEFT with adapter_config.json, or a Hugging Face repository "
    "of one of them (owner/name or owner/name@revision)"
)
ADAPTER_FILE = "adapters.npz"  # in a repository


def open_adapter(name: str | PathLike) -> Adapter:
    """Read an adapter, and download it if need be.

    Args:
        name: an adapter file, a folder of PEFT, or a repository on the Hub as "owner/name" or "owner/name@revision". A
            file or folder of that name is chosen first.

    Raises:
        AdapterError: there is no such adapter, or it is damaged, or it is not one that this library reads.
        CheckpointError: the download failed.
    """
    path = _find(name)
    return read_peft(path) if is_peft(path) else read_adapter(path)


def open_adapter_config(name: str | PathLike) -> AdapterConfig:
    """Read the configuration of an adapter, as `open_adapter` does, and as little else as possible."""
    path = _find(name)
    return read_peft(path).config if is_peft(path) else read_adapter_config(path)


def adapter_files(path: Path) -> list[Path]:
    """Return the files of an adapter that was opened: one of ours, or those of PEFT in a folder."""
    return peft_files(path) if is_peft(path) else [path]


def _find(name: str | PathLike) -> Path:
    """Return the file or folder of an adapter."""
    path = Path(name)
    repository, _, revision = str(name).partition("@")
    if path.exists() or path.suffix == Path(ADAPTER_FILE).suffix or not is_repository(repository):
        return path
    folder = download_repository(str(name), repository, revision or None, _fetch)
    return folder if is_peft(folder) else folder / ADAPTER_FILE


def _fetch(repository: str, revision: str | None, files: dict[str, int | None], cached_only: bool) -> Path:
    """Return the folder of a repository in the cache, with the files of an adapter.

    Raises:
        CheckpointError: the repository does not hold an adapter.
        HubError: files are missing in the cache, and cannot be downloaded.
    """
    folder = fetch_files(repository, revision, files, cached_only, (*PEFT_FILES, ADAPTER_FILE))
    if not is_peft(folder) and not (folder / ADAPTER_FILE).exists():
        raise CheckpointError(f"{repository}: no {PEFT_FILES[0]} and no {ADAPTER_FILE}, so this is not an adapter")
    return folder
