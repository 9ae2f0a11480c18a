"""Recording conditions for clean speech: reverberation, noise, a narrow band and a random loudness."""

import numpy as np
from scipy import signal

from mlx_whisper_lora.whisper.audio.constants import SAMPLE_RATE
from tools.demo_model.noise import background, set_peak
from tools.demo_model.voices import Audio


def disturb(audio: Audio, rng: np.random.Generator) -> Audio:
    """Return `audio`, shape (samples,), under random recording conditions; its length and times stay.

    Three clips in ten change in loudness only. The others get, each by chance, a
    reverberation, noise at 10 to 40 dB below the speech, and a narrower band.
    """
    if rng.random() > 0.3:
        if rng.random() < 0.3:
            audio = _reverberate(audio, rng)
        if rng.random() < 0.6:
            audio = _add_noise(audio, rng)
        if rng.random() < 0.25:
            audio = _narrow(audio, rng)
    return set_peak(audio, rng.uniform(0.05, 0.95))


def _reverberate(audio: Audio, rng: np.random.Generator) -> Audio:
    """Add a tail of exponentially decaying noise: RT60 0.1 to 0.5 s, 5 to 20 dB below the direct sound."""
    rt60 = rng.uniform(0.1, 0.5)
    times = np.arange(int(rt60 * SAMPLE_RATE)) / SAMPLE_RATE
    tail = rng.standard_normal(len(times)) * np.exp(-6.9 * times / rt60)  # exp(-6.9) is -60 dB
    tail *= 10 ** (-rng.uniform(5, 20) / 20) / np.sqrt(np.sum(tail**2))
    tail[0] = 1
    return signal.fftconvolve(audio, tail.astype(np.float32))[: len(audio)]


def _add_noise(audio: Audio, rng: np.random.Generator) -> Audio:
    noise = background(len(audio), rng)
    level = np.sqrt(np.mean(audio**2)) * 10 ** (-rng.uniform(10, 40) / 20)
    return audio + np.float32(level) * noise


def _narrow(audio: Audio, rng: np.random.Generator) -> Audio:
    """Keep the telephone band, 300 to 3400 Hz, or everything below 4 kHz."""
    band, kind = (((300, 3400), "bandpass"), (4000, "lowpass"))[rng.integers(2)]
    sections = signal.butter(4, band, kind, fs=SAMPLE_RATE, output="sos")
    return signal.sosfilt(sections, audio).astype(np.float32)
