"""The clip that is explained: the samples of a recording, or of 30 s of a longer one."""

from typing import NamedTuple

import numpy as np

from mlx_whisper_lora.whisper.audio.constants import N_SAMPLES
from mlx_whisper_lora.whisper.audio.load import AudioSource, audio_blocks


class ClipSamples(NamedTuple):
    """The samples of a clip, and whether the recording goes on after them."""

    samples: np.ndarray  # at 16 kHz, shape (n_samples,)
    is_cut: bool


def read_clip(recording: AudioSource, start: float) -> ClipSamples:
    """Read up to 30 s of a recording, from `start` on, in seconds. Raise AudioError as `audio_blocks` does."""
    blocks: list[np.ndarray] = []
    for block in audio_blocks(recording, start=start):
        blocks.append(block)
        if sum(map(len, blocks)) > N_SAMPLES:
            break
    samples = np.concatenate(blocks)
    return ClipSamples(samples[:N_SAMPLES], len(samples) > N_SAMPLES)
