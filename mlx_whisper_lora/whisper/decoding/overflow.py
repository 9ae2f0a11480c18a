"""Detect that the numbers of a model have overflowed, as they may in float16."""

import mlx.core as mx

from mlx_whisper_lora.whisper.model.whisper import Whisper


def check_overflow(model: Whisper, numbers: mx.array) -> None:
    """Check numbers that were computed from logits.

    Raises:
        FloatingPointError: some are NaN or infinite. The token that is most likely would then be any.
    """
    if not mx.isfinite(numbers).all().item():
        name = str(model.dtype).removeprefix("mlx.core.")
        advice = "its weights are damaged" if model.dtype == mx.float32 else "compute in float32 (--fp16 False)"
        raise FloatingPointError(f"decoding failed: the numbers of this model overflow in {name}; {advice}")
