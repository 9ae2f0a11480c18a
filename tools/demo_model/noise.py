"""Audio without speech: background noise, mains hum, clicks, tones and silence, from `numpy.random.Generator`."""

import numpy as np
from scipy import fft, signal

from mlx_whisper_lora.whisper.audio.constants import SAMPLE_RATE
from tools.demo_model.voices import Audio


def background(length: int, rng: np.random.Generator) -> Audio:
    """Return `length` samples of white, pink or brown noise or mains hum, of RMS 1."""
    kind = rng.choice(("white", "pink", "brown", "hum"))
    if kind == "hum":
        return _hum(length, rng)
    exponent = {"white": 0.0, "pink": 0.5, "brown": 1.0}[kind]
    if exponent == 0:
        return rng.standard_normal(length, dtype=np.float32)
    size = fft.next_fast_len(length, real=True)
    spectrum = fft.rfft(rng.standard_normal(size, dtype=np.float32))
    # Flat below 30 Hz: otherwise nearly all of brown noise would be too low to be audible.
    frequencies = np.maximum(fft.rfftfreq(size, 1 / SAMPLE_RATE), 30).astype(np.float32)
    colored = fft.irfft(spectrum / frequencies**exponent, size)[:length]
    return colored / np.sqrt(np.mean(colored**2) + 1e-20)


def noise_floor(length: int, rng: np.random.Generator) -> Audio:
    """Return `length` samples of background noise, 50 to 80 dB below full scale."""
    return background(length, rng) * np.float32(10 ** rng.uniform(-4, -2.5))


def no_speech(seconds: float, rng: np.random.Generator) -> Audio:
    """Return audio without speech, shape (seconds * 16000,): silence, noise, clicks, tones, chirps or bursts."""
    length = int(seconds * SAMPLE_RATE)
    kind = rng.choice(("silence", "background", "background", "clicks", "tones", "chirps", "bursts"))
    if kind == "silence":
        return np.zeros(length, dtype=np.float32)
    # Most recordings have a floor of noise under whatever else happens in them.
    audio = noise_floor(length, rng)
    if kind == "background":
        audio = background(length, rng)
    for _ in range(rng.integers(1, 12) if kind != "background" else 0):
        event = _event(kind, rng)
        start = rng.integers(0, max(length - len(event), 1))
        part = audio[start : start + len(event)]
        part += event[: len(part)] * np.float32(rng.uniform(0.05, 1))
    return set_peak(audio, 10 ** rng.uniform(-3.5, -0.05))


def set_peak(audio: Audio, peak: float) -> Audio:
    """Scale audio so that its largest absolute sample is `peak`."""
    return audio * np.float32(peak / max(np.abs(audio).max(initial=0), 1e-6))


def _hum(length: int, rng: np.random.Generator) -> Audio:
    """Return mains hum: 50 or 60 Hz and five overtones of random strengths; RMS 1."""
    times = np.arange(length, dtype=np.float32) / SAMPLE_RATE
    base = rng.choice((50, 60))
    hum = np.zeros(length, dtype=np.float32)
    for k in range(1, 7):
        cycles = base * k * times + np.float32(rng.random())
        hum += np.float32(rng.uniform(0.1, 1) / k) * np.sin(2 * np.pi * cycles)
    return hum / np.sqrt(np.mean(hum**2) + 1e-20)


def _event(kind: str, rng: np.random.Generator) -> Audio:
    """Return a click, a tone, a chirp or a burst of noise, with soft ends; peak about 1."""
    seconds = rng.uniform(0.002, 0.02) if kind == "clicks" else rng.uniform(0.05, 2)
    times = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    if kind in ("clicks", "bursts"):
        event = background(len(times), rng) / 3
    else:
        start, end = np.exp(rng.uniform(np.log(80), np.log(6000), size=2))
        event = signal.chirp(times, start, seconds, start if kind == "tones" else end)
    return (event * signal.windows.tukey(len(times), 0.2)).astype(np.float32)
