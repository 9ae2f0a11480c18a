"""Frames for the encoder."""

import numpy as np
import pytest

from mlx_whisper_lora.whisper.audio.constants import N_SAMPLES
from mlx_whisper_lora.whisper.audio.log_mel import SpooledLogMel, clip_frames
from tests.support.clips import tone


@pytest.mark.parametrize("length", [0, 100, 1600, 47_999, N_SAMPLES])
def test_frames_are_those_that_transcription_computes(length):
    samples = np.random.default_rng(0).standard_normal(length).astype(np.float32) * 0.1
    frames, mel = clip_frames(samples, 80), SpooledLogMel(samples, 80)
    assert frames.shape == (length // 160, 80)
    np.testing.assert_array_equal(frames, np.array(mel.window(0, mel.n_frames)))


def test_the_model_decides_the_mel_bands():
    assert clip_frames(tone(1.0), 128).shape == (100, 128)
