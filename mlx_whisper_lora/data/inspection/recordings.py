"""Measure the recordings of clips: their length, sample rate and level, and how much of them is clipped."""

import io
from typing import NamedTuple

import numpy as np
import soundfile

from mlx_whisper_lora.data.clip import Clip
from mlx_whisper_lora.whisper.audio.constants import SAMPLE_RATE
from mlx_whisper_lora.whisper.audio.load import BYTES, audio_blocks

_FRAME = SAMPLE_RATE // 10  # samples
_LOUD = 90  # per cent of the frames are not louder than the level: pauses and clicks do not count
_FULL_SCALE = 0.99  # a resampled recording hardly exceeds it where the original is clipped
_SILENCE = 1e-6  # the lowest level, -120 dB


class Measurement(NamedTuple):
    """The measures of a clip's audio."""

    seconds: float
    rate: int | None  # of the file, in Hz; None if libsndfile cannot read its header
    level: float  # of its loud parts, in dB below full scale
    clipped: float  # the share of samples at full scale


def measure(clip: Clip) -> Measurement:
    """Decode the audio of a clip and measure it, in little memory.

    Raises:
        AudioError, OSError: It cannot be read.
    """
    n_samples = n_clipped = 0
    powers: list[np.ndarray] = []  # of frames of 0.1 s
    for block in audio_blocks(clip.audio, start=clip.start, end=clip.end):
        n_samples += len(block)
        n_clipped += int((np.abs(block) >= _FULL_SCALE).sum())
        whole = len(block) - len(block) % min(_FRAME, len(block))
        powers.append((block[:whole] ** 2).reshape(-1, min(_FRAME, len(block))).mean(axis=1))
    loud = float(np.percentile(np.concatenate(powers), _LOUD)) ** 0.5
    return Measurement(
        n_samples / SAMPLE_RATE, _file_rate(clip), 20 * np.log10(max(loud, _SILENCE)), n_clipped / n_samples
    )


def _file_rate(clip: Clip) -> int | None:
    """Return the sample rate that the header of a recording gives."""
    file = io.BytesIO(clip.audio) if isinstance(clip.audio, BYTES) else clip.audio
    if not isinstance(file, io.BytesIO) and hasattr(file, "read"):
        return None  # a stream, which was read
    try:
        return soundfile.info(file).samplerate
    except soundfile.LibsndfileError:
        return None
