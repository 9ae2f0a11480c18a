"""Speech for tests of augmentation."""

import numpy as np
import pytest

from mlx_whisper_lora.data.sources import load_clips
from mlx_whisper_lora.whisper.audio.load import load_audio


@pytest.fixture
def speech(demo_clips_folder) -> np.ndarray:
    """Return the samples of a bundled clip."""
    clip = load_clips(demo_clips_folder)["valid"][0]
    return load_audio(clip.audio, start=clip.start, end=clip.end)
