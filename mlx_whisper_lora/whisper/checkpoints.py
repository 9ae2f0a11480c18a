"""Model folders: `config.json` with the dimensions beside `weights.safetensors`, `model.safetensors` or `weights.npz`.

The layout is that of the mlx-community Whisper repositories. A name that is no folder is taken for a repository on the
Hugging Face Hub and downloaded into its cache (`HF_HOME`).
"""

import json
import shutil
import struct
import zipfile
import zlib
from dataclasses import fields
from os import PathLike
from pathlib import Path

import mlx.core as mx
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RepositoryNotFoundError
from mlx.utils import tree_flatten

from mlx_whisper_lora.whisper.assets import DEMO_MODEL
from mlx_whisper_lora.whisper.files import atomic_write
from mlx_whisper_lora.whisper.model import ModelDimensions, Whisper

WEIGHT_FILES = ("weights.safetensors", "model.safetensors", "weights.npz")
CONFIG_FILE = "config.json"
DEMO = "demo"  # the name of the bundled model
# The hub's, and those of the HTTP library beneath it, whichever it is.
HUB_ERRORS: tuple[type[Exception], ...] = (OSError, *HfHubHTTPError.__bases__)
# What the readers of zip, NumPy and safetensors files raise when a file is damaged.
DAMAGED_FILE_ERRORS = (
    OSError, ValueError, TypeError, LookupError, AttributeError, EOFError, RuntimeError, MemoryError, OverflowError,
    SyntaxError, struct.error, zlib.error, zipfile.BadZipFile,
)  # fmt: skip


class CheckpointError(ValueError):
    """A model that cannot be loaded or saved; the message names the file and what is wrong with it."""


def default_dtype() -> mx.Dtype:
    """float16 on a GPU; float32 on a CPU, where half precision has no fast product."""
    return mx.float16 if mx.default_device() == mx.gpu else mx.float32


def load_model(path_or_hf_repo: str | PathLike, dtype: mx.Dtype | None = None) -> Whisper:
    """Load a Whisper model from a folder, or from the Hugging Face Hub.

    Weights are cast to `dtype` (default: `default_dtype()`). Raises CheckpointError when there is no such model, or
    its files are damaged or do not belong together.
    """
    folder = find_model(path_or_hf_repo)
    model = Whisper(read_dimensions(folder / CONFIG_FILE))
    weights = read_weights(folder)
    expected = dict(tree_flatten(model.parameters()))
    dtype = dtype or default_dtype()
    for name, array in expected.items():
        if name not in weights:
            raise CheckpointError(f"{folder}: the weights lack {name}, which {CONFIG_FILE} asks for")
        if weights[name].shape != array.shape:
            raise CheckpointError(
                f"{folder}: {name} has shape {weights[name].shape}, but {CONFIG_FILE} asks for {array.shape}"
            )
    unknown = sorted(weights.keys() - expected.keys())
    if unknown:
        raise CheckpointError(f"{folder}: the weights hold {unknown[0]}, which is no part of a Whisper model")
    # Popped, so that what is cast goes out of memory array by array.
    model.load_weights([(name, weights.pop(name).astype(dtype)) for name in expected])
    mx.eval(model.parameters())
    model.eval()
    return model


def find_model(path_or_hf_repo: str | PathLike) -> Path:
    """The folder of a model: `path_or_hf_repo` itself if it is one, the bundled one for "demo", else that of the Hub
    repository of that name."""
    path = Path(path_or_hf_repo)
    if path.is_dir():
        return path
    if str(path_or_hf_repo) == DEMO:
        return DEMO_MODEL
    name = str(path_or_hf_repo)
    if path.exists():
        raise CheckpointError(f"{path}: a model is a folder with {CONFIG_FILE} and weights, this is a file")
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise CheckpointError(f"{name}: no such model folder")
    try:
        folder = Path(snapshot_download(name, allow_patterns=[CONFIG_FILE]))
        read_dimensions(folder / CONFIG_FILE)  # before gigabytes of weights that are not Whisper's
        return Path(snapshot_download(name, allow_patterns=[CONFIG_FILE, *WEIGHT_FILES]))
    except (RepositoryNotFoundError, HFValidationError):
        raise CheckpointError(f"{name}: neither a folder here nor a repository on the Hugging Face Hub") from None
    except HUB_ERRORS as error:
        raise CheckpointError(f"{name}: not a folder here, and it cannot be had from the Hub ({error})") from None


def read_dimensions(path: Path) -> ModelDimensions:
    """The model dimensions in a config.json; other keys are left aside. Raises CheckpointError."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        dims = ModelDimensions(**{field.name: int(config[field.name]) for field in fields(ModelDimensions)})
    except FileNotFoundError:
        raise CheckpointError(f"{path.parent}: no {CONFIG_FILE}, so this is not a model folder") from None
    except KeyError as error:
        raise CheckpointError(
            f"{path}: {error.args[0]} is missing; models in the layout of mlx-community's Whisper repositories are read"
        ) from None
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: not a Whisper configuration ({error})") from None
    sides = ((dims.n_audio_state, dims.n_audio_head), (dims.n_text_state, dims.n_text_head))
    if min(dims.to_dict().values()) < 1 or any(width % heads for width, heads in sides):
        raise CheckpointError(f"{path}: these dimensions are not those of a Whisper model")
    if "quantization" in config:
        raise CheckpointError(f"{path}: the model is quantized; use the unquantized one, in float16 or float32")
    return dims


def read_weights(folder: Path) -> dict[str, mx.array]:
    """The arrays of the first weight file in `folder`, by parameter name. Raises CheckpointError."""
    for name in WEIGHT_FILES:
        path = folder / name
        if not path.exists():
            continue
        try:
            weights = mx.load(str(path))
        except DAMAGED_FILE_ERRORS as error:
            raise CheckpointError(f"{path}: damaged or cut short ({error})") from None
        # Positions of the encoder are computed; some converters store them all the same.
        weights.pop("encoder.positional_embedding", None)
        weights.pop("alignment_heads", None)
        return weights
    raise CheckpointError(f"{folder}: no weights; expected one of {', '.join(WEIGHT_FILES)}")


def save_model(model: Whisper, folder: str | PathLike) -> None:
    """Write `model` as a folder of config.json and weights.safetensors that `load_model` reads.

    Each file appears whole or not at all, the configuration last; a folder made for them goes again when one fails.
    Raises OSError when the disk is full.
    """
    folder = Path(folder)
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        # Through a Python file, because MLX's own writer does not notice a full disk.
        with atomic_write(folder / "weights.safetensors", "wb") as file:
            mx.save_safetensors(file, dict(tree_flatten(model.parameters())), metadata={"format": "mlx"})
        with atomic_write(folder / CONFIG_FILE) as file:
            json.dump({"model_type": "whisper", **model.dims.to_dict()}, file, indent=2)
    except BaseException:
        if is_new:
            shutil.rmtree(folder, ignore_errors=True)
        raise
