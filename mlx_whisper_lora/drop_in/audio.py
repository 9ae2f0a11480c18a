"""`whisper.audio` and `mlx_whisper.audio`."""

from mlx_whisper_lora.whisper.audio.constants import (
    CHUNK_LENGTH,
    FRAMES_PER_POSITION,
    FRAMES_PER_SECOND,
    HOP_LENGTH,
    N_FFT,
    N_FRAMES,
    N_SAMPLES,
    SAMPLE_RATE,
)
from mlx_whisper_lora.whisper.audio.load import load_audio, pad_or_trim
from mlx_whisper_lora.whisper.audio.log_mel import log_mel_spectrogram

N_SAMPLES_PER_TOKEN = HOP_LENGTH * FRAMES_PER_POSITION
TOKENS_PER_SECOND = FRAMES_PER_SECOND // FRAMES_PER_POSITION

__all__ = [
    "CHUNK_LENGTH",
    "FRAMES_PER_SECOND",
    "HOP_LENGTH",
    "N_FFT",
    "N_FRAMES",
    "N_SAMPLES",
    "N_SAMPLES_PER_TOKEN",
    "SAMPLE_RATE",
    "TOKENS_PER_SECOND",
    "load_audio",
    "log_mel_spectrogram",
    "pad_or_trim",
]
