"""From sound files to log-mels."""

import mlx.core as mx
import numpy as np
import pytest
import soundfile
from port import reference_arrays
from seeded import chirps

from mlx_whisper_lora.whisper.audio import (
    AudioError,
    load_audio,
    log_mel_spectrogram,
    mel_filters,
    pad_or_trim,
    resample,
)


@pytest.mark.parametrize("n_mels", [80, 128])
def test_mel_filters_are_librosas(n_mels):
    np.testing.assert_allclose(mel_filters(n_mels), reference_arrays()[f"filters_{n_mels}"], atol=1e-8)


@pytest.mark.parametrize("n_mels", [80, 128])
def test_log_mel_is_openai_whispers(n_mels):
    sound, arrays = chirps(2.5, seed=7), reference_arrays()
    mel, padded = log_mel_spectrogram(sound, n_mels), log_mel_spectrogram(sound, n_mels, padding=16000)
    assert mel.shape == (250, n_mels)
    np.testing.assert_allclose(np.array(mel)[::10], arrays[f"mel_{n_mels}_rows_10"], atol=1e-4)
    np.testing.assert_allclose(np.array(padded)[::25], arrays[f"mel_padded_{n_mels}_rows_25"], atol=1e-4)


def test_log_mel_takes_files_and_both_kinds_of_array(tmp_path):
    sound = chirps(1)
    soundfile.write(tmp_path / "x.wav", sound, 16000, subtype="FLOAT")
    expected = np.array(log_mel_spectrogram(sound))
    for audio in (mx.array(sound), tmp_path / "x.wav", str(tmp_path / "x.wav")):
        np.testing.assert_array_equal(np.array(log_mel_spectrogram(audio)), expected)


@pytest.mark.parametrize("n_samples", [160, 199, 200, 201, 399])
def test_log_mel_of_less_than_a_frame_is_finite(n_samples):
    mel = log_mel_spectrogram(chirps(1)[:n_samples])
    assert mel.shape == (n_samples // 160, 80)
    assert np.isfinite(np.array(mel)).all()


def test_load_audio_averages_channels(tmp_path):
    left, right = chirps(0.5, seed=1), chirps(0.5, seed=2)
    soundfile.write(tmp_path / "x.wav", np.stack([left, right], axis=1), 16000, subtype="FLOAT")
    np.testing.assert_allclose(load_audio(tmp_path / "x.wav"), (left + right) / 2, atol=1e-6)


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_load_audio_keeps_pitch_and_duration_at_any_rate(tmp_path, rate):
    tone = np.sin(2 * np.pi * 1000 * np.arange(rate) / rate)
    soundfile.write(tmp_path / "x.flac", tone, rate)
    samples = load_audio(tmp_path / "x.flac")
    assert samples.dtype == np.float32 and len(samples) == 16000
    expected = np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000)
    np.testing.assert_allclose(samples[1000:-1000], expected[1000:-1000], atol=0.01)


def test_resampling_down_leaves_no_alias():
    tone = np.sin(2 * np.pi * 15000 * np.arange(48000) / 48000).astype(np.float32)  # above 8 kHz, the new limit
    assert np.abs(resample(tone, 48000, 16000)[1000:-1000]).max() < 0.01


def write_text(path):
    path.write_text("these are words, not sound")


def write_nan(path):
    soundfile.write(path, np.array([0.1, np.nan, 0.2], np.float32), 16000, subtype="FLOAT")


BAD_FILES = {
    "missing": (lambda path: None, "no such file"),
    "folder": (lambda path: path.mkdir(), "a folder"),
    "empty": (lambda path: path.touch(), "empty"),
    "text": (write_text, "not a readable sound file"),
    "no samples": (lambda path: soundfile.write(path, np.zeros(0, np.float32), 16000), "no samples"),
    "nan": (write_nan, "NaN"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_is_named_with_what_is_wrong(tmp_path, case):
    make, message = BAD_FILES[case]
    path = tmp_path / "talk.wav"
    make(path)
    with pytest.raises(AudioError, match=message) as error:
        load_audio(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("kind", [np.array, mx.array])
def test_pad_or_trim(kind):
    array = kind(np.arange(6, dtype=np.float32).reshape(2, 3))
    assert pad_or_trim(array, 2).tolist() == [[0, 1], [3, 4]]
    assert pad_or_trim(array, 4).tolist() == [[0, 1, 2, 0], [3, 4, 5, 0]]
    assert pad_or_trim(array, 1, axis=0).tolist() == [[0, 1, 2]]
    assert pad_or_trim(array, 3, axis=0).tolist() == [[0, 1, 2], [3, 4, 5], [0, 0, 0]]
