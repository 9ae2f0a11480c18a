"""Measures of recordings: length, rate, level and clipping."""

import io

import numpy as np
import pytest
import soundfile

from mlx_whisper_lora.data.clip import Clip
from mlx_whisper_lora.data.inspection.recordings import measure
from mlx_whisper_lora.whisper.audio.errors import AudioError


def sine(seconds: float, amplitude: float, rate: int = 16000) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * 200 * np.arange(round(seconds * rate)) / rate)


def recording(samples: np.ndarray, rate: int = 16000) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


def test_the_level_is_that_of_the_loud_parts():
    """A sine has the power of its amplitude squared, halved; the pause before it does not count."""
    found = measure(Clip(recording(np.concatenate([np.zeros(32000), sine(1.0, 0.5)])), "x"))
    assert (found.seconds, found.rate, found.clipped) == (3.0, 16000, 0.0)
    assert found.level == pytest.approx(20 * np.log10(0.5 / np.sqrt(2)), abs=0.01)


def test_clipped_samples_are_counted():
    """A sine of amplitude 2 is beyond full scale for two thirds of the time."""
    found = measure(Clip(recording(np.clip(sine(1.0, 2.0), -1, 1)), "x"))
    assert found.clipped == pytest.approx(2 / 3, abs=0.02)


def test_silence_has_the_lowest_level():
    assert measure(Clip(recording(np.zeros(1600)), "x")).level == -120


def test_the_rate_is_that_of_the_file(tmp_path):
    (tmp_path / "a.wav").write_bytes(recording(sine(1.0, 0.5, 8000), 8000))
    found = measure(Clip(tmp_path / "a.wav", "x", start=0.25, end=0.75))
    assert (found.seconds, found.rate) == (0.5, 8000)


def test_a_recording_that_cannot_be_read_is_an_error():
    with pytest.raises(AudioError):
        measure(Clip(b"hello", "x"))
