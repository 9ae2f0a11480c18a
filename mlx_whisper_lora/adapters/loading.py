"""Load models that are ready for use: base and adapter together."""

import contextlib
from os import PathLike
from pathlib import Path
from typing import NamedTuple

import mlx.core as mx

from mlx_whisper_lora.adapters.adapter_file import Adapter, AdapterConfig
from mlx_whisper_lora.adapters.classifier import check_transcribes
from mlx_whisper_lora.adapters.errors import AdapterError
from mlx_whisper_lora.adapters.open import open_adapter
from mlx_whisper_lora.adapters.strength import load_fused
from mlx_whisper_lora.whisper.checkpoints import load as checkpoints
from mlx_whisper_lora.whisper.checkpoints.hub import BASE, DEMO, find_download, hub_repository, resolve_model
from mlx_whisper_lora.whisper.decoding.decode import decode
from mlx_whisper_lora.whisper.decoding.language import detect_language
from mlx_whisper_lora.whisper.devices import note_device
from mlx_whisper_lora.whisper.errors import CheckpointError
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.transcription.long_form import transcribe

# As methods of a model, these can be called like openai-whisper's. The class itself lies below what they need.
Whisper.detect_language = detect_language
Whisper.decode = decode
Whisper.transcribe = transcribe


def load_model(
    name: str | PathLike,
    device: object = None,
    download_root: str | PathLike | None = None,
    in_memory: bool = False,
    *,
    adapter_file: str | PathLike | Adapter | None = None,
    adapter_strength: float = 1.0,
    dtype: mx.Dtype | None = None,
    path: Path | None = None,
) -> Whisper:
    """Load a Whisper model, and put an adapter into it if one is given.

    The adapter is fused into the weights in memory. Modules that cannot be fused stay in the model. The second to the
    fourth argument are openai-whisper's.

    Args:
        name: any name of a model that `resolve_model` knows.
        device: MLX chooses the device. A warning says so if it is another one.
        download_root: a folder where openai-whisper has stored its models. A model that is not in it comes from the
            Hugging Face Hub, and a warning says so.
        in_memory: no difference, because weights are always read into memory.
        adapter_file: an adapter that was trained on this model, by a name that `open_adapter` knows, or as it returned
            it.
        adapter_strength: the share of its change of the base, as for `load_fused`.
        dtype: the type to compute in. By default float16 on a GPU and float32 on a CPU.
        path: the files of the model, if `resolve_model` was asked already.

    Raises:
        CheckpointError: the model cannot be loaded.
        AdapterError: the adapter cannot be read, or belongs to another base.
    """
    note_device(device)
    _check_not_adapter(name)
    if download_root is not None:
        path = path or find_download(name, download_root)
    if adapter_file is None:
        return checkpoints.load_model(name, dtype, path)
    adapter = adapter_file if isinstance(adapter_file, Adapter) else open_adapter(adapter_file)
    check_transcribes(adapter.path, adapter.config.classifier)
    dtype = dtype or checkpoints.default_dtype()
    # A base in bfloat16 would lack the digits that its fingerprint is made of.
    model = checkpoints.load_model(name, mx.float32 if dtype == mx.bfloat16 else dtype, path)
    load_fused(model, adapter, str(name), adapter_strength)
    model.set_dtype(dtype)
    return model


def _check_not_adapter(name: str | PathLike) -> None:
    if isinstance(name, (str, PathLike)) and Path(name).suffix == ".npz" and Path(name).is_file():
        raise AdapterError(f"{name}: this is an adapter or a part of a model, not a model; give it as the adapter file")


class FoundModel(NamedTuple):
    """A model, and where its files are."""

    name: str
    path: Path


def find_model(
    given: str | PathLike | None,
    adapter: AdapterConfig | None = None,
    adapter_file: str | PathLike | None = None,
    bundled: bool = False,
    download_root: str | PathLike | None = None,
) -> FoundModel:
    """Find the model to use, and download it if its user, and not an adapter alone, names it.

    Args:
        given: the name that the user gives, or None.
        adapter: the configuration of an adapter, whose base is used if none is given.
        adapter_file: the file of the adapter, to be named in errors.
        bundled: whether the recordings are the bundled ones, which the demo model was made for.
        download_root: a folder where openai-whisper has stored its models.

    Raises:
        CheckpointError: there is no such model, or the download failed.
        AdapterError: the base that the adapter names is not on this machine.
    """
    if given is not None:
        _check_not_adapter(given)
    chosen = str(given) if given is not None else adapter.base.name if adapter else DEMO if bundled else BASE
    if download_root is not None and (path := find_download(chosen, download_root)):
        return FoundModel(chosen, path)
    if given is not None or adapter is None:
        return FoundModel(chosen, resolve_model(chosen))
    base = adapter.base
    if not base.name:
        raise AdapterError(f"{adapter_file}: this adapter does not name its base: give the base with --model")
    for name in filter(None, (base.name, base.repository)):
        with contextlib.suppress(CheckpointError):
            return FoundModel(name, resolve_model(name, download=False))
    repository = base.repository or hub_repository(base.name)
    download = f", or --model {repository} to download it from the Hugging Face Hub" if repository else ""
    raise AdapterError(
        f"{adapter_file}: this adapter names its base {base.name}, which is not on this machine: give the base with "
        f"--model{download}"
    )


class ModelHolder:
    """The model that was asked for last. It is kept until another one is asked for, or its files change.

    A program may preload a model with `get_model`, set `model` to None to free its memory, or put a model and its path
    here itself, as with mlx-whisper's class of this name.
    """

    model: Whisper | None = None
    model_path: str | PathLike | None = None
    _how: tuple = ()  # what it was loaded with
    _id: int | None = None  # of the model that was loaded here, and not put here

    @classmethod
    def get_model(
        cls,
        model_path: str | PathLike | None = None,
        dtype: mx.Dtype | None = None,
        adapter_file: str | PathLike | None = None,
        adapter_strength: float = 1.0,
    ) -> Whisper:
        """Return the model that `find_model` finds, with its adapter, from memory if it is there."""
        dtype = dtype or checkpoints.default_dtype()
        model_path = BASE if model_path is None and adapter_file is None else model_path
        how = (str(dtype), str(adapter_file), adapter_strength, _last_change(model_path), _last_change(adapter_file))
        fits = cls._how == how if cls._id == id(cls.model) else adapter_file is None
        if cls.model is None or str(cls.model_path) != str(model_path) or not fits:
            adapter = open_adapter(adapter_file) if adapter_file is not None else None
            name, path = find_model(model_path, adapter.config if adapter else None, adapter_file)
            cls.model = None  # before loading, so that two models are never in memory at once
            cls.model = load_model(
                name, adapter_file=adapter, adapter_strength=adapter_strength, dtype=dtype, path=path
            )
            cls.model_path, cls._how, cls._id = model_path, how, id(cls.model)
        return cls.model


def _last_change(path: str | PathLike | None) -> int:
    """Return when a file, or the newest file of a folder, was written, in nanoseconds; 0 if it is not on this disk."""
    if path is None or not Path(path).exists():
        return 0
    files = Path(path).iterdir() if Path(path).is_dir() else [Path(path)]
    return max((file.stat().st_mtime_ns for file in files), default=0)
