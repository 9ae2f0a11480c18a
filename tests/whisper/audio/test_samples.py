"""Samples in arrays of any kind."""

import array

import mlx.core as mx
import numpy as np
import pytest

from mlx_whisper_lora.whisper.audio.errors import AudioError
from mlx_whisper_lora.whisper.audio.log_mel import SpooledLogMel, log_mel_spectrogram
from mlx_whisper_lora.whisper.audio.samples import to_samples

SOUND = np.array([0.0, 0.5, -0.5, -1.0, 0.25], np.float32)


class Tensor:
    """An object of another library that NumPy can convert."""

    def __array__(self, dtype=None, copy=None):
        return SOUND.astype(dtype or np.float32)


KINDS = {
    "float32": SOUND,
    "float64": SOUND.astype(np.float64),
    "float16": SOUND.astype(np.float16),
    "int16": (SOUND * 2**15).astype(np.int16),
    "int32": (SOUND * 2.0**31).astype(np.int32),
    "int8": (SOUND * 2**7).astype(np.int8),
    "uint8": (SOUND * 2**7 + 128).astype(np.uint8),
    "big-endian": (SOUND * 2**15).astype(">i2"),
    "mlx float32": mx.array(SOUND),
    "mlx bfloat16": mx.array(SOUND).astype(mx.bfloat16),
    "mlx int16": mx.array((SOUND * 2**15).astype(np.int16)),
    "list": SOUND.tolist(),
    "array": array.array("h", (SOUND * 2**15).astype(np.int16).tolist()),
    "another library": Tensor(),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_array_gives_the_same_samples(kind):
    samples = to_samples(KINDS[kind])
    assert samples.dtype == np.float32
    assert samples.tolist() == SOUND.tolist()


def test_a_little_overshoot_is_kept():
    assert to_samples([1.5, -1.9]).tolist() == pytest.approx([1.5, -1.9])


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.array([0.0, 12000.0]), r"the array: float samples reach 1\.2e\+04, and full scale is 1; divide them"),
        (mx.array([0.0, -3.0]), r"float samples reach 3, and full scale is 1"),
        (np.array([0.1, np.nan]), "the array: .* NaN"),
        (np.array([0.1, -np.inf]), "the array: .* infinite"),
        (np.zeros((16000, 2)), r"one-dimensional \(mono\), got shape \(16000, 2\): average the channels"),
        (np.zeros((1, 16000)), r"got shape \(1, 16000\)"),
        (np.float32(0.5), r"got shape \(\)"),
        ([0, 1, -1], "samples of type int64 have no known full scale: convert them to floats"),
        (np.zeros(9, np.uint16), "samples of type uint16 have no known full scale"),
        (np.zeros(9, bool), "samples of type bool have no known full scale"),
        (np.zeros(9, complex), "samples of type complex128 have no known full scale"),
        (None, "NoneType is not audio; give a path"),
        ({"array": SOUND, "sampling_rate": 16000}, "dict is not audio; give a path"),
        ([[0.1], [0.1, 0.2]], "list cannot be converted to an array of samples"),
    ],
)
def test_other_samples_are_refused(samples, message):
    for function in (log_mel_spectrogram, lambda audio: SpooledLogMel(audio, 80)):
        with pytest.raises(AudioError, match=message):
            function(samples)


def test_int16_samples_have_the_spectrogram_of_the_floats():
    pcm = (np.sin(np.arange(16000) / 20) * 8000).astype(np.int16)
    expected = np.array(log_mel_spectrogram(pcm / np.float32(32768)))
    np.testing.assert_array_equal(np.array(log_mel_spectrogram(pcm)), expected)
    np.testing.assert_array_equal(np.array(log_mel_spectrogram(mx.array(pcm))), expected)
