"""From samples to log-mels."""

import tracemalloc

import mlx.core as mx
import numpy as np
import pytest
import soundfile

from mlx_whisper_lora.whisper.assets import DEMO_CLIPS
from mlx_whisper_lora.whisper.audio import log_mel as mel
from mlx_whisper_lora.whisper.audio.load import load_audio
from mlx_whisper_lora.whisper.audio.log_mel import (
    SpooledLogMel,
    join_log_mels,
    log_mel_blocks,
    log_mel_spectrogram,
    mel_filters,
)
from tests.support.references import reference_arrays
from tools.references.seeded import chirps


@pytest.mark.parametrize("n_mels", [80, 128])
def test_mel_filters_are_librosas(n_mels):
    np.testing.assert_allclose(mel_filters(n_mels), reference_arrays()[f"filters_{n_mels}"], atol=1e-8)


@pytest.mark.parametrize("n_mels", [80, 128])
def test_log_mel_is_openai_whispers(n_mels):
    sound, arrays = chirps(2.5, seed=7), reference_arrays()
    whole, padded = log_mel_spectrogram(sound, n_mels), log_mel_spectrogram(sound, n_mels, padding=16000)
    assert whole.shape == (250, n_mels)
    np.testing.assert_allclose(np.array(whole)[::10], arrays[f"mel_{n_mels}_rows_10"], atol=1e-4)
    np.testing.assert_allclose(np.array(padded)[::25], arrays[f"mel_padded_{n_mels}_rows_25"], atol=1e-4)
    window = SpooledLogMel(sound, n_mels).window(0, 350)
    np.testing.assert_allclose(np.array(window)[::25], arrays[f"mel_padded_{n_mels}_rows_25"], atol=1e-4)


def test_log_mel_takes_files_and_both_kinds_of_array(tmp_path):
    sound = chirps(1)
    path = tmp_path / "x.wav"
    soundfile.write(path, sound, 16000, subtype="FLOAT")
    expected = np.array(log_mel_spectrogram(sound))
    for audio in (
        mx.array(sound),
        path,
        str(path),
        path.read_bytes(),
        bytearray(path.read_bytes()),
        memoryview(path.read_bytes()),
    ):
        np.testing.assert_array_equal(np.array(log_mel_spectrogram(audio)), expected)


@pytest.mark.parametrize("n_samples", [0, 1, 160, 199, 200, 201, 399])
def test_log_mel_of_less_than_a_frame_is_finite(n_samples):
    values = log_mel_spectrogram(chirps(1)[:n_samples])
    assert values.shape == (n_samples // 160, 80)
    assert np.isfinite(np.array(values)).all()


@pytest.mark.parametrize("n_samples", [161, 300, 16000, 48079])
@pytest.mark.parametrize("cuts", [[1, 2, 100, 150], range(100, 48000, 100), [15999]])
def test_blocks_of_any_size_give_the_spectrogram_of_the_whole(n_samples, cuts):
    sound = chirps(4)[:n_samples]
    whole = np.concatenate(list(log_mel_blocks([sound], 80)))
    assert whole.shape == (n_samples // 160, 80)
    blocks = list(log_mel_blocks(np.split(sound, [cut for cut in cuts if cut < n_samples]), 80))
    np.testing.assert_allclose(np.concatenate(blocks), whole, atol=1e-5)


@pytest.mark.parametrize("in_memory", [2**25, 1000])
def test_windows_are_parts_of_the_padded_spectrogram(in_memory, monkeypatch):
    monkeypatch.setattr(mel, "IN_MEMORY", in_memory)  # of 1000 bytes: on disk
    sound = chirps(40)
    whole = np.array(log_mel_spectrogram(sound, padding=480000))
    windows = SpooledLogMel(sound, 80)
    assert windows.n_frames == 4000
    for first, n_frames in ((0, 3000), (1234, 567), (3900, 3000), (6990, 3000), (7001, 10)):
        expected = whole[first : first + n_frames]  # in blocks of other sizes, which BLAS rounds otherwise
        np.testing.assert_allclose(windows.window(first, n_frames), expected, rtol=0, atol=3e-7)


def test_windows_of_a_file_take_little_memory(tmp_path, monkeypatch):
    soundfile.write(tmp_path / "x.wav", np.resize(chirps(30), 10 * 60 * 8000), 8000)  # 10 minutes, 38 MB as samples
    monkeypatch.setattr(mel, "IN_MEMORY", 2**20)
    tracemalloc.start()
    windows = SpooledLogMel(tmp_path / "x.wav", 80)
    windows.window(3000, 3000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert windows.n_frames == 60000 and peak < 20e6


def test_joined_spectrograms_are_that_of_the_joined_samples(demo_clips_folder):
    """One recording is 40 dB weaker than the other, so that its silence is below the floor of both."""
    loud, weak = (load_audio(DEMO_CLIPS / "test.opus", start=start, end=start + 1.6) for start in (0.5, 5.0))
    joined = np.zeros(5 * 16000, np.float32)
    joined[8000 : 8000 + len(loud)] = loud
    joined[48_000 : 48_000 + len(weak)] = weak = weak * 0.01
    parts = [(50, loud), (300, weak)]
    found = join_log_mels([(first, np.array(log_mel_spectrogram(part))) for first, part in parts], 450, 80)
    difference = np.abs(found - np.array(log_mel_spectrogram(joined))[:450]).max(axis=1)
    beside_joints = [frame + near for frame in (50, 210, 300, 450) for near in (-2, -1, 0, 1) if frame + near < 450]
    assert np.delete(difference, beside_joints).max() < 1e-5
    assert found.shape == (450, 80) and difference.max() < 2.0
