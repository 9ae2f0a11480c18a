"""Log-mel spectrograms within 1e-4 of those of openai-whisper."""

import shutil

import numpy as np
import pytest
import soundfile
import whisper

from mlx_whisper_lora.whisper.audio.load import load_audio
from mlx_whisper_lora.whisper.audio.log_mel import SpooledLogMel, log_mel_spectrogram
from tests.parity.pairs import recording
from tools.references.seeded import chirps

NOISE = np.random.default_rng(0).standard_normal(40_001).astype(np.float32)
RECORDINGS = {
    "two minutes of speech": recording(),
    "tones": chirps(12.34),
    "a whisper": 1e-4 * chirps(5),
    "clipped": np.sign(chirps(5)),
    "noise": 0.1 * NOISE,
    "silence": np.zeros(16000, np.float32),
    "a click": np.eye(1, 8000, 4000, dtype=np.float32)[0],
    "less than a frame": 0.1 * NOISE[:250],
}


@pytest.mark.parametrize("n_mels", [80, 128])
@pytest.mark.parametrize("name", RECORDINGS)
def test_log_mel_spectrograms_agree(name, n_mels):
    expected = whisper.log_mel_spectrogram(RECORDINGS[name], n_mels).T.numpy()
    mel = np.array(log_mel_spectrogram(RECORDINGS[name], n_mels))
    np.testing.assert_allclose(mel, expected, rtol=0, atol=1e-4)
    assert mel.max() - mel.min() <= 2 + 1e-6  # 80 dB, a quarter of log10's 8


def test_windows_of_a_recording_agree():
    expected = whisper.log_mel_spectrogram(recording(), padding=480_000).T.numpy()
    mel = SpooledLogMel(recording(), 80)
    assert mel.n_frames == len(expected) - 3000
    for first in (0, 1234, mel.n_frames - 1000):
        window = np.array(mel.window(first, 3000))
        np.testing.assert_allclose(window, expected[first : first + 3000], rtol=0, atol=1e-4)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="openai-whisper reads files with ffmpeg")
def test_files_give_the_same_samples(tmp_path):
    soundfile.write(tmp_path / "x.wav", chirps(3), 16000)  # 16-bit
    np.testing.assert_array_equal(load_audio(tmp_path / "x.wav"), whisper.load_audio(str(tmp_path / "x.wav")))
