"""The log-mel spectrogram that Whisper's encoder reads, from 16 kHz samples.

Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision" (2022), section 2.2. The numbers agree with
`whisper/audio.py` of openai-whisper.
"""

import functools
import itertools
import math
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator
from os import PathLike
from typing import Protocol, TypeAlias

import mlx.core as mx
import numpy as np
import scipy.fft
import scipy.signal

from mlx_whisper_lora.whisper.atomic_files import name_temp_folder_when_full
from mlx_whisper_lora.whisper.audio.constants import HOP_LENGTH, N_FFT, N_FRAMES, N_SAMPLES, SAMPLE_RATE
from mlx_whisper_lora.whisper.audio.load import BYTES, AudioSource, audio_blocks
from mlx_whisper_lora.whisper.audio.samples import to_samples
from mlx_whisper_lora.whisper.devices import note_device

_SMALLEST_POWER = 1e-10
_SILENT_FRAMES = math.ceil(N_FFT / HOP_LENGTH)  # after a recording, until a frame sees nothing of it
_RANGE = 8.0  # values are floored this far below the recording's maximum: 80 dB
IN_MEMORY = 2**25  # bytes; a larger spectrogram goes to a temporary file

Audio: TypeAlias = AudioSource | np.ndarray | mx.array


def log_mel_spectrogram(audio: Audio, n_mels: int = 80, padding: int = 0, device: object = None) -> mx.array:
    """Compute the log-mel spectrogram of an entire recording.

    Args:
        audio: an audio file, as for `load_audio`, or 16 kHz samples of shape (n_samples,): floats in [-1, 1],
            int16, int32, int8 or uint8.
        n_mels: number of mel bands.
        padding: number of zeros to append to the samples.
        device: MLX chooses the device. A warning says so if it is another one.

    Returns:
        Float32 values of shape (n_frames, n_mels), one frame per 10 ms: log10 of mel power, floored 8 below the
        recording's maximum, then scaled as (x + 4) / 4.

    Raises:
        AudioError: the file cannot be read, or the samples are not finite or have more than one dimension.
    """
    note_device(device)
    blocks = list(log_mel_blocks(_padded(_sample_blocks(audio), padding), n_mels))
    if not blocks:
        return mx.zeros((0, n_mels))
    return mx.array(_scale(np.concatenate(blocks), max(float(block.max()) for block in blocks)))


def join_log_mels(parts: Iterable[tuple[int, np.ndarray]], n_frames: int, n_mels: int) -> np.ndarray:
    """Return the log-mel spectrogram of a recording that consists of others, with digital silence between them.

    It is that of the joined samples, but for a frame or two beside each joint.

    Args:
        parts: the first frame of each recording, and its log-mel spectrogram, which `n_frames` may cut.
        n_frames: length of the joined recording.
        n_mels: number of mel bands.
    """
    joined = np.full((n_frames, n_mels), (math.log10(_SMALLEST_POWER) + 4.0) / 4.0, np.float32)
    for first, mel in parts:
        joined[first : first + len(mel)] = mel[: n_frames - first]
    return np.maximum(joined, joined.max() - _RANGE / 4.0)  # each part was floored below its own maximum


class LogMel(Protocol):
    """The log-mel spectrogram of a recording, to be read window by window."""

    n_mels: int
    n_frames: int  # of the recording itself

    def window(self, first: int, n_frames: int) -> mx.array:
        """Return at most `n_frames` frames from frame `first` on, float32, shape (n_frames, n_mels)."""
        ...


class ArrayLogMel:
    """The log-mel spectrogram of a short recording, in memory.

    Args:
        frames: of the recording, shape (n_frames, n_mels).
    """

    def __init__(self, frames: np.ndarray):
        self.n_frames, self.n_mels = frames.shape
        self.frames = frames

    def window(self, first: int, n_frames: int) -> mx.array:
        """Return at most `n_frames` frames from frame `first` on, shape (n_frames, n_mels)."""
        return mx.array(self.frames[first : first + n_frames])


class SpooledLogMel:
    """The log-mel spectrogram of a recording of any length, to be read window by window in little memory.

    The recording is read once, when this object is made. Its values are floored only when they are read, because their
    maximum is known only then. Beyond 2**25 bytes (17 minutes) they go to a temporary file. The recording is followed
    by 30 s of silence, as in openai-whisper, so that a window may extend beyond its end.

    Args:
        audio: as for `log_mel_spectrogram`.
        n_mels: number of mel bands.
        on_samples: called with each block of the recording's samples, for another analysis in the same pass.

    Raises:
        AudioError: as for `log_mel_spectrogram`.
    """

    def __init__(self, audio: Audio, n_mels: int, on_samples: Callable[[np.ndarray], None] | None = None):
        self.n_mels = n_mels
        self._file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 (closed with this object)
        weakref.finalize(self, self._file.close)
        self._maximum = -np.inf
        # Frames see the silence from its start on. Those that see nothing else are all alike.
        samples = _padded(_observed(_sample_blocks(audio), on_samples), _SILENT_FRAMES * HOP_LENGTH)
        silence = np.log10(np.full((N_FRAMES - _SILENT_FRAMES, n_mels), _SMALLEST_POWER, np.float32))
        for block in itertools.chain(log_mel_blocks(samples, n_mels), [silence]):
            with name_temp_folder_when_full():
                self._file.write(block.tobytes())
            self._maximum = max(self._maximum, float(block.max()))
        self.n_frames = self._file.tell() // self._bytes(1) - N_FRAMES  # without the silence

    def window(self, first: int, n_frames: int) -> mx.array:
        """Return `n_frames` frames from frame `first` on, float32, shape (n_frames, n_mels).

        There are fewer frames if the silence ends before.
        """
        self._file.seek(self._bytes(first))
        values = np.frombuffer(self._file.read(self._bytes(n_frames)), dtype=np.float32)
        return mx.array(_scale(values.reshape(-1, self.n_mels), self._maximum))

    def _bytes(self, n_frames: int) -> int:
        return n_frames * self.n_mels * 4


def _scale(log_mel: np.ndarray, maximum: float) -> np.ndarray:
    return (np.maximum(log_mel, np.float32(maximum - _RANGE)) + np.float32(4)) / np.float32(4)


def clip_frames(samples: np.ndarray, n_mels: int) -> np.ndarray:
    """Compute the log-mel frames of a clip, as `SpooledLogMel` does. Any thread may call this, as it needs no MLX.

    Args:
        samples: 16 kHz samples, shape (n_samples,).
        n_mels: number of mel bands.

    Returns:
        Frames of 10 ms, shape (n_samples // 160, n_mels), float32.
    """
    frames = np.concatenate(list(log_mel_blocks(_padded([samples], _SILENT_FRAMES * HOP_LENGTH), n_mels)))
    return _scale(frames[: len(samples) // HOP_LENGTH], float(frames.max()))


def _sample_blocks(audio: Audio) -> Iterator[np.ndarray]:
    """Read the 16 kHz samples of an audio file or an array in blocks.

    Raises:
        AudioError: as for `log_mel_spectrogram`.
    """
    if isinstance(audio, (str, PathLike, *BYTES)) or hasattr(audio, "read"):
        yield from audio_blocks(audio)  # type: ignore[arg-type]
    else:
        samples = to_samples(audio)
        for first in range(0, len(samples), N_SAMPLES):
            yield samples[first : first + N_SAMPLES]


def _observed(blocks: Iterable[np.ndarray], on_samples: Callable[[np.ndarray], None] | None) -> Iterator[np.ndarray]:
    """Pass blocks on, and give each to `on_samples` first."""
    for block in blocks:
        if on_samples:
            on_samples(block)
        yield block


def _padded(blocks: Iterable[np.ndarray], padding: int) -> Iterator[np.ndarray]:
    """Append `padding` zeros to blocks of samples."""
    yield from blocks
    if padding:
        yield np.zeros(padding, dtype=np.float32)


def log_mel_blocks(blocks: Iterable[np.ndarray], n_mels: int) -> Iterator[np.ndarray]:
    """Compute log10 of mel power, at least -10, for samples that come in blocks.

    A frame is the Hann-windowed 25 ms around its time. There is one frame for every 160 samples.

    Yields:
        Float32 arrays of shape (any number of frames, n_mels).
    """
    rest = np.zeros(0, dtype=np.float32)
    for block in _mirror_ends(blocks):
        rest = np.concatenate([rest, block])
        n_frames = (len(rest) - N_FFT) // HOP_LENGTH + 1
        if n_frames > 0:
            yield np.log10(np.maximum(_mel_power(rest, n_mels), _SMALLEST_POWER))
            rest = rest[n_frames * HOP_LENGTH :]


def _mirror_ends(blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Put the samples' mirror image before and after them, for frames whose middle is near an end.

    If there are too few samples to mirror, zeros take their place.
    """
    before = N_FFT // 2
    after = before - HOP_LENGTH  # the frame around the very end is not needed
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
    """Return the power in mel bands of the frames that fit into `samples`, float32, shape (n_frames, n_mels)."""
    window = scipy.signal.get_window("hann", N_FFT).astype(np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(samples, N_FFT)[::HOP_LENGTH]
    spectrum = scipy.fft.rfft(frames * window, axis=-1)
    return (np.square(spectrum.real) + np.square(spectrum.imag)) @ mel_filters(n_mels).T


@functools.cache
def mel_filters(n_mels: int) -> np.ndarray:
    """Return triangular filters from FFT bins to mel bands, float32, shape (n_mels, N_FFT // 2 + 1).

    Slaney's scale (Auditory Toolbox, 1998) is linear below 1 kHz (3 mels per 200 Hz) and logarithmic above (27 mels per
    factor of 6.4). Every triangle has unit area. The numbers are those of `librosa.filters.mel(sr=16000, n_fft=400)`.
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


_BREAK_HZ, _BREAK_MEL, _LOG_STEP = 1000.0, 15.0, np.log(6.4) / 27


def _hz_to_mel(hz: float) -> float:
    return _BREAK_MEL + np.log(hz / _BREAK_HZ) / _LOG_STEP if hz >= _BREAK_HZ else hz * 3 / 200


def _mel_to_hz(mels: np.ndarray) -> np.ndarray:
    return np.where(mels < _BREAK_MEL, mels * 200 / 3, _BREAK_HZ * np.exp(_LOG_STEP * (mels - _BREAK_MEL)))
