"""Load models that are ready for use: base and adapter together."""

from os import PathLike
from pathlib import Path

import mlx.core as mx

from mlx_whisper_lora.adapters.adapter_file import Adapter, AdapterConfig, load_adapter
from mlx_whisper_lora.adapters.inject import fuse_adapter
from mlx_whisper_lora.whisper.checkpoints import load as checkpoints
from mlx_whisper_lora.whisper.checkpoints.hub import BASE, DEMO
from mlx_whisper_lora.whisper.model.whisper import Whisper


def load_model(
    path_or_hf_repo: str | PathLike,
    adapter_file: str | PathLike | Adapter | None = None,
    dtype: mx.Dtype | None = None,
    path: Path | None = None,
) -> Whisper:
    """Load a Whisper model, and put an adapter into it if one is given.

    The adapter is fused into the weights in memory. Modules that cannot be fused stay in the model.

    Args:
        path_or_hf_repo: any name of a model that `resolve_model` knows.
        adapter_file: an adapter that was trained on this model, as a file or as `read_adapter` returned it.
        dtype: the type to compute in. By default float16 on a GPU and float32 on a CPU.
        path: the files of the model, if `resolve_model` was asked already.

    Raises:
        CheckpointError: the model cannot be loaded.
        AdapterError: the adapter cannot be read, or belongs to another base.
    """
    if adapter_file is None:
        return checkpoints.load_model(path_or_hf_repo, dtype, path)
    dtype = dtype or checkpoints.default_dtype()
    # A base in bfloat16 would lack the digits that its fingerprint is made of.
    model = checkpoints.load_model(path_or_hf_repo, mx.float32 if dtype == mx.bfloat16 else dtype, path)
    load_adapter(model, adapter_file, str(path_or_hf_repo))
    fuse_adapter(model)
    model.set_dtype(dtype)
    return model


def default_model(adapter: AdapterConfig | None, bundled: bool = False) -> str:
    """Return the name of the model to use if none is given.

    Args:
        adapter: the configuration of an adapter, whose base is taken.
        bundled: whether the recordings are the bundled ones, which the demo model was made for.
    """
    return adapter.base.name if adapter else DEMO if bundled else BASE


class ModelCache:
    """The model that was asked for last. It is kept until another one is asked for, or its files change."""

    def __init__(self) -> None:
        self._key: tuple | None = None
        self._model: Whisper | None = None

    def load(
        self, path_or_hf_repo: str | PathLike, adapter_file: str | PathLike | None = None, dtype: mx.Dtype | None = None
    ) -> Whisper:
        """Return the model that `load_model` loads from these arguments, from memory if it is there."""
        changes = (_last_change(path_or_hf_repo), _last_change(adapter_file))
        key = (str(path_or_hf_repo), str(adapter_file), str(dtype), *changes)
        if key != self._key or self._model is None:
            self._key = self._model = None  # before loading, so that two models are never in memory at once
            self._model = load_model(path_or_hf_repo, adapter_file, dtype)
            self._key = key
        return self._model


def _last_change(path: str | PathLike | None) -> int:
    """Return when a file, or the newest file of a folder, was written, in nanoseconds; 0 if it is not on this disk."""
    if path is None or not Path(path).exists():
        return 0
    files = Path(path).iterdir() if Path(path).is_dir() else [Path(path)]
    return max((file.stat().st_mtime_ns for file in files), default=0)
