"""The clip that is explained: the samples of a recording, or of 30 s of a longer one."""

from typing import NamedTuple

import numpy as np

from mlx_whisper_lora.whisper.audio.constants import HOP_LENGTH, N_SAMPLES
from mlx_whisper_lora.whisper.audio.errors import AudioError
from mlx_whisper_lora.whisper.audio.load import AudioSource, load_beginning, source_name


class ClipSamples(NamedTuple):
    """The samples of a clip, and whether the recording goes on after them."""

    samples: np.ndarray  # at 16 kHz, shape (n_samples,)
    is_cut: bool


def read_clip(recording: AudioSource, start: float) -> ClipSamples:
    """Read up to 30 s of a recording, from `start` on, in seconds.

    Raises:
        AudioError: as `load_beginning` does, or the clip is shorter than a frame.
    """
    samples = load_beginning(recording, N_SAMPLES, start)
    if len(samples) < HOP_LENGTH:
        raise AudioError(f"{source_name(recording)}: the clip lasts less than a frame of 10 ms; give a longer one")
    return ClipSamples(samples[:N_SAMPLES], len(samples) > N_SAMPLES)
