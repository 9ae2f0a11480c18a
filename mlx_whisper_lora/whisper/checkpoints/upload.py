"""Upload a folder to the Hugging Face Hub."""

from pathlib import Path

from huggingface_hub import HfApi, constants, get_token

from mlx_whisper_lora.whisper.checkpoints.hub import (
    HUB_ERRORS,
    LOG_IN,
    HubError,
    explain_hub_error,
    is_repository,
    repository_info,
)
from mlx_whisper_lora.whisper.errors import CheckpointError
from mlx_whisper_lora.whisper.option import OptionError


def check_upload(repository: str, folder: str) -> None:
    """Check what an upload needs, before there is anything to upload.

    Args:
        repository: the repository to upload to, as "owner/name".
        folder: the folder that will be uploaded.

    Raises:
        OptionError: the name is not that of a repository, or the folder has files already, which may not be public.
        CheckpointError: the user is not logged in to the Hub, or it is out of reach on purpose.
    """
    if not is_repository(repository) or "@" in repository:
        raise OptionError(f"`upload_repo` must be a Hugging Face repository, owner/name, got {repository!r}")
    if Path(folder).is_dir() and any(Path(folder).iterdir()):
        raise OptionError(
            f"`upload_repo` uploads all files of `save_path` {folder}, which is not empty: give a new one"
        )
    if constants.HF_HUB_OFFLINE:
        raise CheckpointError(f"{repository}: there is no upload while HF_HUB_OFFLINE is set")
    if get_token() is None:
        raise CheckpointError(f"{repository}: an upload requires a login: {LOG_IN}")


def upload_folder(folder: str, repository: str) -> str:
    """Upload the files of a folder, into a new repository if there is none of that name.

    Returns:
        The address of the repository.

    Raises:
        CheckpointError: the upload failed. The folder stays as it is.
    """
    try:
        address = HfApi().create_repo(repository, exist_ok=True)
        HfApi().upload_folder(repo_id=repository, folder_path=folder, commit_message="Upload with mlx_whisper_lora")
    except HUB_ERRORS as error:
        raise CheckpointError(
            f"{repository}: the upload failed ({explain_hub_error(error, None)}); the files are complete in {folder}: "
            f"upload them with `hf upload {repository} {folder}`"
        ) from None
    return str(address)


def license_of(repository: str) -> str | None:
    """Return the license that the card of a repository names, or None if none is found."""
    try:
        info = repository_info(repository, None, "model")
    except HubError:
        return None
    name = info.card_data.get("license") if info.card_data else None
    return name if isinstance(name, str) else None
