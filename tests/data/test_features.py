"""Frames for the encoder."""

import numpy as np
import pytest

from mlx_whisper_lora.data.features import clip_frames, context_frames, pad_frames
from mlx_whisper_lora.whisper.audio.constants import N_SAMPLES
from mlx_whisper_lora.whisper.audio.load import pad_or_trim
from mlx_whisper_lora.whisper.audio.log_mel import log_mel_spectrogram
from tests.support.clips import tone


def samples_of(kind: str, length: int) -> np.ndarray:
    if kind == "silence":
        return np.zeros(length, np.float32)
    if kind == "noise":
        return np.random.default_rng(0).standard_normal(length).astype(np.float32) * 0.1
    return tone(length / 16000)


@pytest.mark.parametrize("length", [100, 1600, 16000, 47_999, 250_123, N_SAMPLES - 400])
@pytest.mark.parametrize("kind", ["tone", "noise", "silence"])
def test_padded_frames_equal_the_spectrogram_of_the_padded_clip(kind, length):
    samples = samples_of(kind, length)
    window = pad_frames(clip_frames(samples, 80), 3000)
    expected = np.array(log_mel_spectrogram(pad_or_trim(samples), 80))
    assert window.shape == expected.shape == (3000, 80)
    np.testing.assert_allclose(window.astype(np.float32), expected, atol=2e-3)  # float16


@pytest.mark.parametrize("length", [N_SAMPLES - 100, N_SAMPLES])
def test_a_clip_that_fills_the_window_is_followed_by_silence_as_in_transcription(length):
    samples = samples_of("noise", length)
    expected = np.array(log_mel_spectrogram(samples, 80, padding=N_SAMPLES))[:3000]
    np.testing.assert_allclose(clip_frames(samples, 80).astype(np.float32), expected, atol=2e-3)


def test_a_clip_has_no_more_frames_than_it_needs_and_an_even_number():
    mel = clip_frames(tone(1.0), 128)
    assert mel.shape == (104, 128) and mel.dtype == np.float16


def test_padding_cuts_to_a_shorter_context():
    mel = clip_frames(tone(1.0), 80)
    np.testing.assert_array_equal(pad_frames(mel, 100), mel[:100])
    assert [context_frames(seconds) for seconds in (0, 30, 5, 0.98)] == [None, 3000, 500, 98]
