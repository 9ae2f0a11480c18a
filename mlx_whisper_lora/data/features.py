"""The log-mel frames of clips, computed when they are needed, and kept in a temporary file."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from mlx_whisper_lora.data.array_cache import ArrayCache
from mlx_whisper_lora.data.clip import Clip, DataError
from mlx_whisper_lora.whisper.audio.constants import FRAMES_PER_SECOND, HOP_LENGTH, SAMPLE_RATE
from mlx_whisper_lora.whisper.audio.errors import AudioError
from mlx_whisper_lora.whisper.audio.lengths import header_seconds
from mlx_whisper_lora.whisper.audio.load import END_TOLERANCE, load_beginning
from mlx_whisper_lora.whisper.audio.log_mel import clip_frames


class OverlongClipError(DataError):
    """A clip that is longer than it may be, which only decoding showed."""


class AudioFeatures(Protocol):
    """The log-mel frames of audio, which are computed when they are needed. Any thread may call the methods.

    Both raise DataError if the audio cannot be decoded, or is longer than `max_seconds`.
    """

    @property
    def max_seconds(self) -> float:
        """The length that the audio may have."""
        ...

    def __len__(self) -> int:
        """Return the number of frames. Before they are computed, that of the header, which may be wrong."""
        ...

    def read(self) -> np.ndarray:
        """Return the frames, shape (F, n_mels), float32, as transcription computes them."""
        ...

    def read_samples(self) -> np.ndarray:
        """Return the 16 kHz samples, shape (n_samples,)."""
        ...


@dataclass(frozen=True, slots=True)
class FeatureReader:
    """How the features of a data set are computed."""

    n_mels: int
    max_seconds: float  # longer clips are an error
    cache: ArrayCache  # of log-mels; several readers may have the same

    def kept(self, audio: int) -> np.ndarray | None:
        """Return the frames of the clip whose audio has a hash, if they are in the cache."""
        return self.cache.get((audio, self.n_mels))

    def keep(self, audio: int, frames: np.ndarray) -> None:
        """Put frames into the cache."""
        self.cache.put((audio, self.n_mels), frames)


@dataclass(frozen=True, slots=True)
class ClipFeatures:
    """The log-mel frames of a clip, which `read` computes. Its length is what the header of the recording gives."""

    clip: Clip
    audio: int  # the hash of its audio
    n_frames: int
    reader: FeatureReader

    @property
    def max_seconds(self) -> float:
        """The length that the clip may have."""
        return self.reader.max_seconds

    def __len__(self) -> int:
        return self.n_frames

    def read(self) -> np.ndarray:
        """Return the frames, shape (F, n_mels), float32, from the cache or computed now.

        They are kept as they were computed, so that a clip is the same at every pass. Any thread may call this.

        Raises:
            DataError: The audio cannot be decoded.
            OverlongClipError: The clip is too long.
        """
        frames = self.reader.kept(self.audio)
        if frames is None:
            frames = clip_frames(self.read_samples(), self.reader.n_mels)
            self.reader.keep(self.audio, frames)
        return frames

    def read_samples(self) -> np.ndarray:
        """Return the 16 kHz samples, shape (n_samples,). Raise as `read` does."""
        samples = read_samples(self.clip, self.max_seconds)
        if samples is None:
            promised = f"its header promises {self.n_frames / FRAMES_PER_SECOND:.1f} s"
            problem = f"{self.clip.name}: longer than {self.reader.max_seconds:g} s, and {promised}; export it again"
            raise OverlongClipError(str(self.clip.error(problem)))
        return samples


def read_samples(clip: Clip, max_seconds: float) -> np.ndarray | None:
    """Return a clip's 16 kHz samples, shape (n_samples,). Stop reading and return None if it is too long.

    Raises:
        DataError: The audio cannot be decoded.
    """
    most = max_seconds * SAMPLE_RATE
    try:
        samples = load_beginning(clip.audio, most, clip.start, clip.end)
    except (AudioError, OSError) as error:
        raise clip.error(str(error)) from None
    return None if len(samples) > most else samples


def header_length(clip: Clip) -> float | None:
    """Return the seconds of a clip as the header of its recording gives them, without decoding it.

    None: only decoding can show whether the clip can be used. Either the header does not give a length, or the clip is
    not within it.
    """
    seconds = header_seconds(clip.audio)
    if seconds is None or (clip.end is not None and clip.end > seconds + END_TOLERANCE):
        return None
    length = (seconds if clip.end is None else min(clip.end, seconds)) - clip.start
    return length if clip.start >= 0 and length * SAMPLE_RATE >= HOP_LENGTH else None
