"""Fine-tune OpenAI's Whisper on Apple silicon with low-rank adapters, on MLX.

Names are imported when first used, so that `import mlx_whisper_lora` costs next to nothing.
"""

import importlib

from mlx_whisper_lora.version import __version__

_PLACES = {
    "load_model": "mlx_whisper_lora.loading",
    "transcribe": "mlx_whisper_lora.transcribe",
    "load_audio": "mlx_whisper_lora.whisper.audio",
    "log_mel_spectrogram": "mlx_whisper_lora.whisper.mel",
    "get_tokenizer": "mlx_whisper_lora.whisper.tokenizer",
    "DecodingOptions": "mlx_whisper_lora.whisper.decoding",
    "DecodingResult": "mlx_whisper_lora.whisper.decoding",
    "decode": "mlx_whisper_lora.whisper.decoding",
    "detect_language": "mlx_whisper_lora.whisper.decoding",
}

__all__ = ["__version__", *_PLACES]


def __getattr__(name: str):
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_PLACES[name]), name)
    globals()[name] = value
    return value
