"""`whisper.model`, and the names of `mlx_whisper.whisper`."""

from mlx_whisper_lora.whisper.model.whisper import ModelDimensions, Whisper

__all__ = ["ModelDimensions", "Whisper"]
