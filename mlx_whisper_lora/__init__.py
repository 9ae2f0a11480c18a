"""Fine-tune OpenAI's Whisper on Apple silicon with low-rank adapters, on MLX.

Names are imported when first used, so that `import mlx_whisper_lora` costs next to nothing.
"""

import importlib

from mlx_whisper_lora.version import __version__

_LAZY = {
    "load_model": "mlx_whisper_lora.adapters.loading",
    "transcribe": "mlx_whisper_lora.transcribe",
    "load_audio": "mlx_whisper_lora.whisper.audio.load",
    "log_mel_spectrogram": "mlx_whisper_lora.whisper.audio.log_mel",
    "get_tokenizer": "mlx_whisper_lora.whisper.text.tokenizer",
    "DecodingOptions": "mlx_whisper_lora.whisper.decoding.options",
    "DecodingResult": "mlx_whisper_lora.whisper.decoding.decode",
    "decode": "mlx_whisper_lora.whisper.decoding.decode",
    "detect_language": "mlx_whisper_lora.whisper.decoding.language",
}

__all__ = ["__version__", *_LAZY]


def __getattr__(name: str):
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_LAZY[name]), name)
    globals()[name] = value
    return value
