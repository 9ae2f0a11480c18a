"""From 16 kHz samples to the log-mel spectrogram that Whisper's encoder reads.

Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision" (2022), section 2.2; the numbers agree with
`whisper/audio.py` of openai-whisper.
"""

import functools
import itertools
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from os import PathLike
from typing import TypeAlias

import mlx.core as mx
import numpy as np
import scipy.fft
import scipy.signal

from mlx_whisper_lora.whisper.atomic_files import name_temp_folder_when_full
from mlx_whisper_lora.whisper.audio.constants import HOP_LENGTH, N_FFT, N_SAMPLES, SAMPLE_RATE
from mlx_whisper_lora.whisper.audio.load import AudioError, AudioSource, audio_blocks, check_samples

SMALLEST_POWER = 1e-10
RANGE = 8.0  # values are floored so far below the recording's maximum: 80 dB
IN_MEMORY = 2**25  # bytes; a longer spectrogram goes to a temporary file

Audio: TypeAlias = AudioSource | np.ndarray | mx.array


def log_mel_spectrogram(audio: Audio, n_mels: int = 80, padding: int = 0) -> mx.array:
    """The log-mel spectrogram of a whole recording: shape (n_frames, n_mels), float32, one frame per 10 ms.

    `audio` is a sound file, as `load_audio` takes it, or 16 kHz samples of shape (n_samples,); `padding` zeros are
    appended first. Values are log10 of mel power, floored 8 below the recording's maximum, then scaled as (x + 4) / 4.
    Raises AudioError for a bad file, and for samples of more than one dimension or that are not finite.
    """
    blocks = list(log_mel_blocks(sample_blocks(audio, padding), n_mels))
    if not blocks:
        return mx.zeros((0, n_mels))
    return _scale(np.concatenate(blocks), max(float(block.max()) for block in blocks))


class SpooledLogMel:
    """The log-mel spectrogram of a recording of any length, to be read window by window in little memory.

    `n_frames` is the recording's length. It is followed by 30 s of silence, as in openai-whisper, so that a window may
    reach beyond its end. The recording is read once, here; its spectrogram, from 2**25 bytes (17 minutes) on in a
    temporary file, waits for the maximum that its values are floored by.
    Raises AudioError as `log_mel_spectrogram` does.
    """

    def __init__(self, audio: Audio, n_mels: int):
        self.n_mels = n_mels
        self._file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 (closed with this object)
        weakref.finalize(self, self._file.close)
        self._maximum = -np.inf
        for block in log_mel_blocks(sample_blocks(audio, padding=N_SAMPLES), n_mels):
            with name_temp_folder_when_full():
                self._file.write(block.tobytes())
            self._maximum = max(self._maximum, float(block.max()))
        self.n_frames = self._file.tell() // self._bytes(1) - N_SAMPLES // HOP_LENGTH

    def window(self, first: int, n_frames: int) -> mx.array:
        """Frames `first` to `first + n_frames`, or to the end of the silence: float32, shape (n_frames, n_mels)."""
        self._file.seek(self._bytes(first))
        values = np.frombuffer(self._file.read(self._bytes(n_frames)), dtype=np.float32)
        return _scale(values.reshape(-1, self.n_mels), self._maximum)

    def _bytes(self, n_frames: int) -> int:
        return n_frames * self.n_mels * 4


def _scale(log_mel: np.ndarray, maximum: float) -> mx.array:
    return (mx.maximum(mx.array(log_mel), maximum - RANGE) + 4.0) / 4.0


def sample_blocks(audio: Audio, padding: int = 0) -> Iterator[np.ndarray]:
    """16 kHz samples of a sound file or an array, in blocks, and then `padding` zeros. Raises AudioError."""
    if isinstance(audio, (str, PathLike, bytes)) or hasattr(audio, "read"):
        yield from audio_blocks(audio)  # type: ignore[arg-type]
    else:
        samples = np.asarray(audio, dtype=np.float32)
        if samples.ndim != 1:
            raise AudioError(f"samples must be one-dimensional (mono), got shape {samples.shape}")
        for first in range(0, len(samples), N_SAMPLES):
            block = samples[first : first + N_SAMPLES]
            check_samples(block, "the array")
            yield block
    if padding:
        yield np.zeros(padding, dtype=np.float32)


def log_mel_blocks(blocks: Iterable[np.ndarray], n_mels: int) -> Iterator[np.ndarray]:
    """log10 of mel power, at least -10, of samples that come in blocks: arrays of shape (some frames, n_mels), float32.

    A frame is the Hann-windowed 25 ms around its time; in all there is one for every 160 samples.
    """
    rest = np.zeros(0, dtype=np.float32)
    for block in _mirror_ends(blocks):
        rest = np.concatenate([rest, block])
        n_frames = (len(rest) - N_FFT) // HOP_LENGTH + 1
        if n_frames > 0:
            yield np.log10(np.maximum(_mel_power(rest, n_mels), SMALLEST_POWER))
            rest = rest[n_frames * HOP_LENGTH :]


def _mirror_ends(blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Put the samples' mirror image before and after them, for frames whose middle is near an end.

    Where there are too few samples to mirror, zeros take their place.
    """
    before = N_FFT // 2
    after = before - HOP_LENGTH  # the frame around the very end is one too many, so this much will do
    blocks = iter(blocks)
    start = np.zeros(0, dtype=np.float32)
    while len(start) <= before and (block := next(blocks, None)) is not None:
        start = np.concatenate([start, block])
    image = start[before:0:-1]
    yield np.pad(image, (before - len(image), 0))
    last = np.zeros(0, dtype=np.float32)
    for block in itertools.chain([start], blocks):
        yield block
        last = np.concatenate([last, block])[-after - 1 :]
    image = last[-2::-1]
    yield np.pad(image, (0, after - len(image)))


def _mel_power(samples: np.ndarray, n_mels: int) -> np.ndarray:
    """Power in mel bands of the frames that fit into `samples`, shape (n_frames, n_mels), float32."""
    window = scipy.signal.get_window("hann", N_FFT).astype(np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(samples, N_FFT)[::HOP_LENGTH]
    spectrum = scipy.fft.rfft(frames * window, axis=-1)
    return (np.square(spectrum.real) + np.square(spectrum.imag)) @ mel_filters(n_mels).T


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
