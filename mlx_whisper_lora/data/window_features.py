"""The log-mel frames of several recordings in one window, which are computed when they are needed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mlx_whisper_lora.data.features import AudioFeatures
from mlx_whisper_lora.whisper.audio.constants import HOP_LENGTH
from mlx_whisper_lora.whisper.audio.log_mel import join_log_mels


class Part(NamedTuple):
    """Audio in a window, which may cut its end."""

    first: int  # its first frame
    features: AudioFeatures


@dataclass(frozen=True, slots=True)
class WindowFeatures:
    """The log-mel frames of a window: parts with digital silence between them."""

    parts: Sequence[Part]
    n_frames: int
    max_seconds: float
    n_mels: int

    def __len__(self) -> int:
        return self.n_frames

    def read(self) -> np.ndarray:
        """Return the frames, shape (F, n_mels), float32. Any thread may call this.

        Raises:
            DataError: The audio of a part cannot be decoded, or a clip of it is too long.
        """
        return join_log_mels(((part.first, part.features.read()) for part in self.parts), len(self), self.n_mels)

    def read_samples(self) -> np.ndarray:
        """Return the 16 kHz samples, shape (n_samples,). Raise as `read` does."""
        samples = np.zeros(len(self) * HOP_LENGTH, np.float32)
        for first, features in self.parts:
            place = samples[first * HOP_LENGTH :]
            heard = features.read_samples()[: len(place)]
            place[: len(heard)] = heard
        return samples
