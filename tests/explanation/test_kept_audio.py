"""The audio of a mask."""

import numpy as np

from mlx_whisper_lora.explanation.kept_audio import kept_audio

TIMES = np.arange(16037) / 16000
LOW, HIGH = (0.2 * np.sin(2 * np.pi * hertz * TIMES).astype(np.float32) for hertz in (300, 3000))


def level(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(samples[2000:-2000]))))


def test_a_mask_of_ones_keeps_the_recording():
    np.testing.assert_allclose(kept_audio(LOW + HIGH, np.ones((100, 80))), LOW + HIGH, atol=1e-6)
    assert not kept_audio(LOW + HIGH, np.zeros((100, 80))).any()


def test_bands_of_a_mask_are_those_of_the_log_mel():
    mask = np.zeros((100, 80))
    mask[:, :25] = 1  # up to about 900 Hz
    kept = kept_audio(LOW + HIGH, mask)
    assert level(kept - LOW) < 0.01 * level(LOW)


def test_frames_of_a_mask_are_10_ms():
    mask = np.zeros((100, 80))
    mask[50:] = 1
    kept = kept_audio(LOW, mask)
    assert not kept[: 49 * 160 - 200].any()
    np.testing.assert_allclose(kept[8400:-400], LOW[8400:-400], atol=1e-5)
