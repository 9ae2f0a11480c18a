"""From a sound file to the log-mel spectrogram that Whisper's encoder reads.

Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision" (2022), section 2.2; the numbers agree with
`whisper/audio.py` of openai-whisper.
"""

import functools
from os import PathLike
from pathlib import Path

import mlx.core as mx
import numpy as np
import scipy.fft
import scipy.signal
import soundfile

SAMPLE_RATE = 16000
N_FFT = 400  # 25 ms
HOP_LENGTH = 160  # 10 ms: one frame
CHUNK_LENGTH = 30  # seconds in a window
N_SAMPLES = CHUNK_LENGTH * SAMPLE_RATE
N_FRAMES = N_SAMPLES // HOP_LENGTH
FRAMES_PER_SECOND = SAMPLE_RATE // HOP_LENGTH
FRAMES_PER_POSITION = 2  # the encoder's second convolution halves the rate
SECONDS_PER_POSITION = FRAMES_PER_POSITION / FRAMES_PER_SECOND

FORMATS_HINT = "Use a file that libsndfile reads (WAV, FLAC, OGG, Opus, MP3, AIFF), or convert it first."


class AudioError(ValueError):
    """A recording that cannot be used; the message names the file and says what to do."""


def load_audio(file: str | PathLike, sample_rate: int = SAMPLE_RATE) -> np.ndarray:
    """Read a sound file of any rate and channel count as mono float32 samples in [-1, 1] at `sample_rate` Hz.

    Channels are averaged; the rate is changed with a polyphase filter.
    Raises AudioError when the file is missing, is not a sound file, holds no samples, or holds NaN or infinite ones.
    """
    path = Path(file)
    if path.is_dir():
        raise AudioError(f"{path}: a folder, not a sound file")
    if not path.is_file():
        raise AudioError(f"{path}: no such file")
    if path.stat().st_size == 0:
        raise AudioError(f"{path}: the file is empty (0 bytes)")
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, RuntimeError) as error:
        raise AudioError(f"{path}: not a readable sound file ({_reason(error)}). {FORMATS_HINT}") from None
    mono = samples.mean(axis=1)
    if mono.size == 0:
        raise AudioError(f"{path}: the recording holds no samples")
    if not np.isfinite(mono).all():
        raise AudioError(f"{path}: the recording holds NaN or infinite samples; export it again")
    return resample(mono, rate, sample_rate)


def _reason(error: Exception) -> str:
    text = getattr(error, "error_string", None) or str(error)
    return text.rstrip(".").strip()


def resample(samples: np.ndarray, rate: int, target_rate: int) -> np.ndarray:
    """Change the sampling rate of a float32 array of shape (n_samples,)."""
    if rate == target_rate:
        return samples
    divisor = int(np.gcd(rate, target_rate))
    return scipy.signal.resample_poly(samples, target_rate // divisor, rate // divisor).astype(np.float32)


def pad_or_trim(array, length: int = N_SAMPLES, *, axis: int = -1):
    """Cut `array` (NumPy or MLX) to `length` along `axis`, or fill it up with zeros at the end."""
    axis %= array.ndim
    size = array.shape[axis]
    if size > length:
        return array[(slice(None),) * axis + (slice(0, length),)]
    if size < length:
        widths = [(0, 0)] * array.ndim
        widths[axis] = (0, length - size)
        return np.pad(array, widths) if isinstance(array, np.ndarray) else mx.pad(array, widths)
    return array


@functools.cache
def mel_filters(n_mels: int) -> np.ndarray:
    """Triangular filters from FFT bins to mel bands, shape (n_mels, N_FFT // 2 + 1), float32.

    Slaney's scale (Auditory Toolbox, 1998): linear below 1 kHz (3 mels in 200 Hz), logarithmic above (27 mels in a
    factor of 6.4); every triangle has unit area. The same numbers as `librosa.filters.mel(sr=16000, n_fft=400)`.
    """
    frequencies = np.linspace(0, SAMPLE_RATE / 2, N_FFT // 2 + 1)
    edges = _mel_to_hz(np.linspace(0, _hz_to_mel(SAMPLE_RATE / 2), n_mels + 2))
    widths = np.diff(edges)
    distances = edges[:, None] - frequencies[None, :]
    rising = -distances[:-2] / widths[:-1, None]
    falling = distances[2:] / widths[1:, None]
    triangles = np.maximum(0, np.minimum(rising, falling))
    unit_area = 2 / (edges[2:] - edges[:-2])
    return (triangles * unit_area[:, None]).astype(np.float32)


BREAK_HZ, BREAK_MEL, LOG_STEP = 1000.0, 15.0, np.log(6.4) / 27


def _hz_to_mel(hz: float) -> float:
    return BREAK_MEL + np.log(hz / BREAK_HZ) / LOG_STEP if hz >= BREAK_HZ else hz * 3 / 200


def _mel_to_hz(mels: np.ndarray) -> np.ndarray:
    return np.where(mels < BREAK_MEL, mels * 200 / 3, BREAK_HZ * np.exp(LOG_STEP * (mels - BREAK_MEL)))


def log_mel_spectrogram(audio: str | PathLike | np.ndarray | mx.array, n_mels: int = 80, padding: int = 0) -> mx.array:
    """The log-mel spectrogram of a whole recording: shape (n_frames, n_mels), float32, one frame per 10 ms.

    `audio` is a file or 16 kHz samples of shape (n_samples,); `padding` zeros are appended first. Values are
    log10 of mel power, floored 8 below the recording's maximum, then scaled as (x + 4) / 4.
    Raises AudioError for a bad file, and for samples of more than one dimension.
    """
    samples = load_audio(audio) if isinstance(audio, (str, PathLike)) else np.asarray(audio, dtype=np.float32)
    if samples.ndim != 1:
        raise AudioError(f"samples must be one-dimensional (mono), got shape {samples.shape}")
    if padding:
        samples = np.pad(samples, (0, padding))
    log_mel = mx.log10(mx.maximum(mx.array(_mel_power(samples, n_mels)), 1e-10))
    log_mel = mx.maximum(log_mel, log_mel.max() - 8.0)
    return (log_mel + 4.0) / 4.0


def _mel_power(samples: np.ndarray, n_mels: int) -> np.ndarray:
    """Power in mel bands of the centred, Hann-windowed STFT, shape (n_samples // 160, n_mels), float32."""
    n_frames = len(samples) // HOP_LENGTH
    margin = N_FFT // 2
    padded = np.pad(samples, margin, mode="reflect") if len(samples) > margin else np.pad(samples, margin)
    frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP_LENGTH][:n_frames]
    window = scipy.signal.get_window("hann", N_FFT).astype(np.float32)
    filters = mel_filters(n_mels).T
    mel = np.empty((n_frames, n_mels), dtype=np.float32)
    for first in range(0, n_frames, N_FRAMES):  # a window's worth at a time: a spectrum is large
        block = slice(first, first + N_FRAMES)
        spectrum = scipy.fft.rfft(frames[block] * window, axis=-1)
        mel[block] = (np.square(spectrum.real) + np.square(spectrum.imag)) @ filters
    return mel
