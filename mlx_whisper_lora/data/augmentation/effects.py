"""Changes of samples: speed, pitch, volume, room, telephone, codec, and noise at a level.

Samples are float32 at 16 kHz, shape (n_samples,). Each function returns new ones.
"""

import functools
import io
import math

import numpy as np
import scipy.signal
import soundfile

from mlx_whisper_lora.whisper.audio.constants import SAMPLE_RATE

ROOMS = 8
CODECS = {"opus": ("OGG", "OPUS"), "mp3": ("MP3", "MPEG_LAYER_III")}
_FRAME, _SEARCH = 400, 160  # samples of a frame that is moved in time, and how far it is moved to fit
_TELEPHONE_RATE, _TELEPHONE_BAND = 8000, (300, 3400)  # Hz (ITU-T G.712)
_MU = 255  # of the telephone's companding (ITU-T G.711)


def change_speed(samples: np.ndarray, percent: int) -> np.ndarray:
    """Play samples at `percent` of their speed, and of their pitch (Ko et al., "Audio augmentation", 2015)."""
    divisor = math.gcd(percent, 100)
    return scipy.signal.resample_poly(samples, 100 // divisor, percent // divisor).astype(np.float32)


def change_pitch(samples: np.ndarray, semitones: float) -> np.ndarray:
    """Raise the pitch by semitones. The number of samples stays."""
    percent = round(100 * 2 ** (semitones / 12))
    return _stretch(change_speed(samples, percent), len(samples))


def _stretch(samples: np.ndarray, length: int) -> np.ndarray:
    """Stretch samples to a length by overlapping frames that fit each other (WSOLA; Verhelst and Roelands, 1993)."""
    hop, window = _FRAME // 2, np.hanning(_FRAME + 1)[:_FRAME]
    source = np.pad(samples, (_SEARCH, _FRAME + 2 * _SEARCH))
    out = np.zeros(length + 2 * _FRAME)
    step = len(samples) / max(length, 1)
    follows = source[:_FRAME]  # what would come next without the stretch
    for start in range(0, length + hop, hop):
        first = min(round(start * step), len(samples))
        region = source[first : first + _FRAME + 2 * _SEARCH]
        best = first + int(np.argmax(np.correlate(region, follows, "valid"))) if start else first + _SEARCH
        out[start : start + _FRAME] += window * source[best : best + _FRAME]
        follows = source[best + hop : best + hop + _FRAME]
        follows = np.pad(follows, (0, _FRAME - len(follows)))
    return out[:length].astype(np.float32)


def change_volume(samples: np.ndarray, decibels: float) -> np.ndarray:
    """Make samples louder by decibels, but not louder than full scale."""
    peak = float(np.abs(samples).max(initial=0.0))
    return samples * np.float32(min(10 ** (decibels / 20), 1 / max(peak, 1e-9) if decibels > 0 else math.inf))


def add_room(samples: np.ndarray, room: int) -> np.ndarray:
    """Return samples as they sound in one of ROOMS rooms. Their power stays."""
    wet = scipy.signal.fftconvolve(samples, _room_response(room))[: len(samples)]
    return (wet * math.sqrt(_power(samples) / max(_power(wet), 1e-20))).astype(np.float32)


@functools.cache
def _room_response(room: int) -> np.ndarray:
    """Return the impulse response of a room: the direct sound, and noise that decays by 60 dB in 0.15 to 0.85 s."""
    rng = np.random.default_rng(room)
    decay = 0.15 + 0.1 * room
    time = np.arange(round(decay * SAMPLE_RATE)) / SAMPLE_RATE
    tail = rng.standard_normal(len(time)) * 10 ** (-3 * time / decay)
    tail[: rng.integers(40, 160)] = 0  # the first wall is a meter or more away
    ratio = 10 ** (-rng.uniform(3, 9) / 20)  # of the reverberation to the direct sound
    tail *= ratio / math.sqrt(float(np.sum(tail**2)))
    tail[0] = 1
    return tail


def add_noise(samples: np.ndarray, noise: np.ndarray, snr: float) -> np.ndarray:
    """Add noise of the same length, so that the power of the samples is `snr` dB above that of the noise."""
    noise_power = _power(noise)
    if not noise_power:
        return samples
    noise = noise * np.float32(math.sqrt(_power(samples) / noise_power / 10 ** (snr / 10)))
    return (samples + noise).astype(np.float32)


def _power(samples: np.ndarray) -> float:
    return float(np.mean(np.square(samples, dtype=np.float64))) if len(samples) else 0.0


def through_telephone(samples: np.ndarray) -> np.ndarray:
    """Return samples as they sound on a telephone: 300 to 3400 Hz at 8 kHz, in 8 bits."""
    down = scipy.signal.resample_poly(samples, _TELEPHONE_RATE, SAMPLE_RATE)
    band = scipy.signal.butter(6, _TELEPHONE_BAND, "bandpass", fs=_TELEPHONE_RATE, output="sos")
    level = np.clip(scipy.signal.sosfilt(band, down), -1, 1)
    companded = np.sign(level) * np.log1p(_MU * np.abs(level)) / math.log1p(_MU)
    companded = np.round(companded * 127) / 127
    level = np.sign(companded) * np.expm1(np.abs(companded) * math.log1p(_MU)) / _MU
    return scipy.signal.resample_poly(level, SAMPLE_RATE, _TELEPHONE_RATE)[: len(samples)].astype(np.float32)


def through_codec(samples: np.ndarray, codec: str, compression: float) -> np.ndarray:
    """Compress samples and decode them again.

    Args:
        samples: The samples.
        codec: A key of CODECS.
        compression: From 0 to 1, as libsndfile counts it; 1 is the lowest rate.
    """
    file, (container, encoding) = io.BytesIO(), CODECS[codec]
    soundfile.write(
        file, np.clip(samples, -1, 1), SAMPLE_RATE, encoding, format=container, compression_level=compression
    )
    file.seek(0)
    decoded, _ = soundfile.read(file, dtype="float32")
    return np.pad(decoded[: len(samples)], (0, max(len(samples) - len(decoded), 0)))
