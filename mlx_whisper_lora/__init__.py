"""Fine-tune OpenAI's Whisper on Apple silicon with low-rank adapters, on MLX.

The names of openai-whisper and mlx-whisper are here too, and so are their modules (`drop_in/`). All are imported when
first used, so that `import mlx_whisper_lora` costs next to nothing.
"""

import importlib
import os
import signal
import sys

from mlx_whisper_lora.version import __version__

__path__.append(f"{__path__[0]}/drop_in")

_LAZY = {
    "load_model": "mlx_whisper_lora.adapters.loading",
    "transcribe": "mlx_whisper_lora.transcribe",
    "load_audio": "mlx_whisper_lora.whisper.audio.load",
    "pad_or_trim": "mlx_whisper_lora.whisper.audio.load",
    "log_mel_spectrogram": "mlx_whisper_lora.whisper.audio.log_mel",
    "get_tokenizer": "mlx_whisper_lora.whisper.text.tokenizer",
    "DecodingOptions": "mlx_whisper_lora.whisper.decoding.options",
    "DecodingResult": "mlx_whisper_lora.whisper.decoding.decode",
    "decode": "mlx_whisper_lora.whisper.decoding.decode",
    "detect_language": "mlx_whisper_lora.whisper.decoding.language",
    "Whisper": "mlx_whisper_lora.whisper.model.whisper",
    "ModelDimensions": "mlx_whisper_lora.whisper.model.whisper",
    "available_models": "mlx_whisper_lora.whisper.checkpoints.hub",
    "get_writer": "mlx_whisper_lora.whisper.transcription.writers",
}
_DROP_IN = (
    "audio", "decoding", "load_models", "model", "normalizers", "timing", "tokenizer", "utils", "writers"
)  # fmt: skip

__all__ = ["__version__", *_LAZY]


# `python -m` and the console scripts import for a second before a command runs. Control-C then ends in no traceback.
_program = os.path.basename(sys.argv[0]) if sys.argv else ""
if (_program == "-m" or _program.partition(".")[0] == __name__) and signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
    signal.signal(signal.SIGINT, lambda number, frame: os._exit(128 + number))


def __getattr__(name: str):
    if name in _DROP_IN:
        return importlib.import_module(f"{__name__}.{name}")
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_LAZY[name]), name)
    globals()[name] = value
    return value
