"""`whisper.normalizers`."""

from mlx_whisper_lora.whisper.text.normalizers import BasicTextNormalizer, EnglishTextNormalizer

__all__ = ["BasicTextNormalizer", "EnglishTextNormalizer"]
