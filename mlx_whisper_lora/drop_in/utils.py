"""`whisper.utils`."""

from mlx_whisper_lora.drop_in import writers
from mlx_whisper_lora.drop_in.writers import *  # noqa: F403
from mlx_whisper_lora.whisper.decoding.decode import compression_ratio

__all__ = [*writers.__all__, "compression_ratio"]
