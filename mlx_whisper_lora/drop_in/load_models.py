"""`mlx_whisper.load_models`."""

from os import PathLike

import mlx.core as mx

from mlx_whisper_lora.adapters import loading
from mlx_whisper_lora.whisper.model.whisper import Whisper


def load_model(path_or_hf_repo: str | PathLike, dtype: mx.Dtype = mx.float32) -> Whisper:
    """Load a model as mlx-whisper does: in float32, unless another type is given.

    Raises:
        CheckpointError: the model cannot be loaded.
    """
    model = loading.load_model(path_or_hf_repo, dtype=dtype)
    model.__module__ = "mlx_whisper.whisper"  # where it is at home there; stable-ts tells models apart by this
    return model
