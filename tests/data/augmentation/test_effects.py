"""Changes of samples."""

import numpy as np
import pytest
import scipy.signal

from mlx_whisper_lora.data.augmentation import effects
from mlx_whisper_lora.data.augmentation.masks import mask
from mlx_whisper_lora.data.augmentation.noise import make_noise
from tests.support.clips import tone


def pitch(samples: np.ndarray) -> float:
    """Return the strongest frequency, in Hz."""
    return float(np.argmax(np.abs(np.fft.rfft(samples))) / len(samples) * 16000)


def share_between(samples: np.ndarray, low: float, high: float) -> float:
    """Return the share of the power between two frequencies."""
    frequency, power = scipy.signal.welch(samples, 16000, nperseg=1024)
    return float(power[(frequency >= low) & (frequency <= high)].sum() / power.sum())


def test_speed_changes_length_and_pitch_alike():
    samples = tone(2.0, 400)
    for percent in (80, 97, 110):
        changed = effects.change_speed(samples, percent)
        assert len(changed) == pytest.approx(len(samples) * 100 / percent, abs=1)
        assert pitch(changed) == pytest.approx(4 * percent, abs=2)


@pytest.mark.parametrize("semitones", [-4.0, 0.5, 3.0])
def test_pitch_changes_and_the_length_stays(semitones):
    samples = tone(2.0, 400)
    changed = effects.change_pitch(samples, semitones)
    assert len(changed) == len(samples)
    assert pitch(changed) == pytest.approx(400 * 2 ** (semitones / 12), rel=0.01)
    assert changed.std() == pytest.approx(samples.std(), rel=0.1)


def test_a_voice_at_another_pitch_keeps_its_rhythm(speech):
    """The loudness over time is that of the original, in blocks of 50 ms."""
    changed = effects.change_pitch(speech, 2.0)
    loudness = [np.abs(each[: len(each) // 800 * 800]).reshape(-1, 800).mean(axis=1) for each in (speech, changed)]
    assert np.corrcoef(*loudness)[0, 1] > 0.95


def test_volume_is_changed_by_decibels_up_to_full_scale():
    samples = tone(1.0)
    quiet, loud = effects.change_volume(samples, -6.0), effects.change_volume(samples, 30.0)
    assert quiet.std() / samples.std() == pytest.approx(0.501, abs=0.001)
    assert np.abs(loud).max() == pytest.approx(1.0)


@pytest.mark.parametrize("snr", [-3.0, 5.0, 20.0])
def test_noise_is_added_at_the_ratio(snr, speech):
    noise = make_noise(len(speech), np.random.default_rng(0), pink=True)
    added = effects.add_noise(speech, noise, snr).astype(np.float64) - speech
    assert 10 * np.log10(np.mean(speech.astype(np.float64) ** 2) / np.mean(added**2)) == pytest.approx(snr, abs=0.01)


def test_pink_noise_falls_by_three_decibels_an_octave():
    rng = np.random.default_rng(0)
    for pink, expected in ((True, 1.0), (False, 2.0)):
        noise = make_noise(160_000, rng, pink)
        octaves = share_between(noise, 2000, 4000) / share_between(noise, 1000, 2000)
        assert octaves == pytest.approx(expected, rel=0.1) and noise.std() == pytest.approx(1.0, rel=0.01)


def test_a_telephone_passes_300_to_3400_hz():
    changed = effects.through_telephone(make_noise(32_000, np.random.default_rng(0), pink=False) * 0.1)
    assert len(changed) == 32_000 and share_between(changed, 250, 3500) > 0.98


def test_a_room_adds_an_echo_and_keeps_the_power():
    click = np.zeros(16_000, np.float32)
    click[1000] = 0.5
    tails = []
    for room in range(effects.ROOMS):
        changed = effects.add_room(click, room)
        assert np.sum(changed**2) == pytest.approx(0.25, rel=0.01) and np.argmax(np.abs(changed)) == 1000
        tails.append(float(np.sum(changed[1800:] ** 2)))
    assert tails[-1] > tails[0] > 0.0


@pytest.mark.parametrize("codec", effects.CODECS)
def test_a_codec_keeps_the_time_and_most_of_the_voice(codec, speech):
    changed = effects.through_codec(speech, codec, 0.9)
    assert len(changed) == len(speech)
    lag = np.argmax(scipy.signal.correlate(changed, speech, "full")) - (len(speech) - 1)
    assert abs(int(lag)) <= 32  # 2 ms
    assert 0.8 < np.corrcoef(changed, speech)[0, 1] < 0.9999


def test_masks_are_bands_and_moments_of_the_mean():
    mel = np.random.default_rng(0).standard_normal((400, 80)).astype(np.float32)
    masked = mask(mel, np.random.default_rng(2))
    hidden = masked != mel
    bands, moments = hidden.all(axis=0), hidden.all(axis=1)
    assert 0 < bands.sum() <= 54 and 0 < moments.sum() <= 40
    np.testing.assert_array_equal(hidden, bands[None, :] | moments[:, None])
    assert np.unique(masked[hidden]) == mel.mean()
