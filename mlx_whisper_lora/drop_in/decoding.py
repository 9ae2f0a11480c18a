"""`whisper.decoding` and `mlx_whisper.decoding`."""

from mlx_whisper_lora.whisper.decoding.decode import DecodingResult, compression_ratio, decode
from mlx_whisper_lora.whisper.decoding.language import detect_language
from mlx_whisper_lora.whisper.decoding.options import DecodingOptions

__all__ = ["DecodingOptions", "DecodingResult", "compression_ratio", "decode", "detect_language"]
