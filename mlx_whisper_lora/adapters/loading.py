"""A model ready for use: base and adapter together."""

from os import PathLike

import mlx.core as mx

from mlx_whisper_lora.adapters.adapter_file import load_adapter
from mlx_whisper_lora.adapters.inject import fuse_lora
from mlx_whisper_lora.whisper.checkpoints import load as checkpoints
from mlx_whisper_lora.whisper.model.whisper import Whisper


def load_model(
    path_or_hf_repo: str | PathLike, adapter_file: str | PathLike | None = None, dtype: mx.Dtype | None = None
) -> Whisper:
    """Load a Whisper model by any name that `resolve_model` knows, and fuse an adapter, if one is given, into
    it in memory.

    Raises CheckpointError for the model, AdapterError for the adapter.
    """
    if adapter_file is None:
        return checkpoints.load_model(path_or_hf_repo, dtype)
    dtype = dtype or checkpoints.default_dtype()
    # A base in bfloat16 would have lost the digits that its fingerprint is made of.
    model = checkpoints.load_model(path_or_hf_repo, mx.float32 if dtype == mx.bfloat16 else dtype)
    load_adapter(model, adapter_file, str(path_or_hf_repo))
    fuse_lora(model)
    model.set_dtype(dtype)
    return model
