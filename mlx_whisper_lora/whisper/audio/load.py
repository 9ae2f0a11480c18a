"""Decode a recording, or a stretch of one, in any format to 16 kHz mono samples, a few seconds at a time.

libsndfile decodes the formats that it knows, and ffmpeg, if it is installed, the others. Only `load_audio` holds all
samples at once.
"""

import contextlib
import functools
import io
import itertools
import math
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import BinaryIO, NamedTuple

import mlx.core as mx
import numpy as np
import scipy.signal
import soundfile

from mlx_whisper_lora.whisper.atomic_files import name_temp_folder_when_full
from mlx_whisper_lora.whisper.audio.constants import N_SAMPLES, SAMPLE_RATE
from mlx_whisper_lora.whisper.audio.contents import find_parts
from mlx_whisper_lora.whisper.audio.errors import AudioError
from mlx_whisper_lora.whisper.audio.ffmpeg import FfmpegError, ffmpeg_blocks
from mlx_whisper_lora.whisper.audio.parts import ADVICE, FileBytes, Part, part_file
from mlx_whisper_lora.whisper.audio.samples import check_samples

BLOCK = 2**16  # samples of each channel that are decoded at a time
RATES = (1000, 400_000)  # Hz; a header with another rate is damaged
LEAD_IN = 2.0  # seconds decoded before a stretch: the decoders of Opus, Vorbis and MP3 need some to settle
END_TOLERANCE = 0.1  # seconds: tables round times, and encoders change a recording's length a little
_UNKNOWN_FORMAT = (1, 4)  # libsndfile's codes for a format, or an encoding in it, that it does not read
FFMPEG_HINT = (
    "M4A, MP4, AAC, WebM and other formats that libsndfile does not read need ffmpeg: install it "
    "(brew install ffmpeg, or apt install ffmpeg), or convert the file to WAV"
)

BYTES = (bytes, bytearray, memoryview)


@dataclass(frozen=True, eq=False)
class StoredAudio:
    """A recording inside of something larger, such as a table. Its bytes are read whenever they are needed."""

    name: str  # for messages
    read: Callable[[], bytes]  # returns the bytes of an audio file


AudioSource = str | PathLike | bytes | bytearray | memoryview | BinaryIO | StoredAudio


def load_audio(file: AudioSource, sr: int = SAMPLE_RATE, start: float = 0.0, end: float | None = None) -> np.ndarray:
    """Read a recording, or a stretch of one, into one array.

    Args:
        file: A path, the bytes of an audio file, a binary stream, or a recording that is read from something larger.
        sr: The rate of the result, in Hz.
        start: Where the stretch starts, in seconds.
        end: Where it ends, in seconds; None for the end of the recording.

    Returns:
        Mono float32 samples in [-1, 1], shape (n_samples,).

    Raises:
        AudioError: As `audio_blocks` does.
    """
    return np.concatenate(list(audio_blocks(file, sr, start, end)))


def load_beginning(file: AudioSource, most: float, start: float = 0.0, end: float | None = None) -> np.ndarray:
    """Decode a recording, or a stretch of it, until more than so many samples are there.

    Args:
        file, start, end: as for `audio_blocks`.
        most: the samples after which nothing is decoded. If there are more, the result is longer than this.

    Returns:
        The 16 kHz samples, shape (n_samples,).

    Raises:
        AudioError: as `audio_blocks` raises it.
    """
    blocks: list[np.ndarray] = []
    for block in audio_blocks(file, start=start, end=end):
        blocks.append(block)
        if sum(map(len, blocks)) > most:
            break
    return np.concatenate(blocks)


def audio_blocks(
    file: AudioSource, sample_rate: int = SAMPLE_RATE, start: float = 0.0, end: float | None = None
) -> Iterator[np.ndarray]:
    """Read a recording, or a stretch of one, as successive blocks of samples, in little memory.

    Channels are averaged, and the rate is changed with a polyphase filter. Formats that libsndfile does not know go
    through ffmpeg, as in openai-whisper: 16-bit samples, mixed and resampled there.

    A stretch holds samples round(start * sample_rate) to round(end * sample_rate) of the whole decoded and resampled
    recording, because the filter reads beyond its ends. Lossless formats give the same bits as the whole. Opus, Vorbis
    and MP3 differ from it by a few thousandths of full scale at most, as their decoders start near the stretch; the
    same stretch always gives the same samples. Where libsndfile cannot seek, and with ffmpeg, everything before the
    stretch is decoded and skipped.

    Args:
        file: A path, the bytes of an audio file, a binary stream such as an open file, a pipe or `sys.stdin.buffer`, or
            a recording that is read from something larger.
        sample_rate: The rate of the blocks, in Hz.
        start: Where the stretch starts, in seconds.
        end: Where it ends, in seconds; None for the end of the recording. If it is after the recording's end by up to
            0.1 s, the stretch ends with the recording.

    Yields:
        Mono float32 samples in [-1, 1], shape (n_samples,).

    Raises:
        AudioError: The file does not exist, is not audio, or holds no samples, NaN, infinite or far too loud ones; or
            a part of it is missing, or the stretch is not in it.
    """
    with _local_file(file) as (path, name):
        first, stop = _sample_range(name, sample_rate, start, end)
        n_samples = 0
        for block in _decode(path, name, sample_rate, first, stop):
            check_samples(block, name)
            n_samples += len(block)
            yield block
        if n_samples == 0:
            if first:
                raise AudioError(
                    f"{name}: the recording ends before {start:.2f} s, where the clip starts; correct its times"
                )
            raise AudioError(f"{name}: the recording holds no samples")
        seconds = (first + n_samples) / sample_rate
        if end is not None and seconds < end - END_TOLERANCE:
            raise AudioError(
                f"{name}: the recording ends at {seconds:.2f} s, and the clip at {end:.2f} s; correct its times"
            )


def _sample_range(name: str, sample_rate: int, start: float, end: float | None) -> tuple[int, int | None]:
    """Return the first sample of a stretch and the one after its last, or raise AudioError."""
    if not 0 <= start < math.inf:
        raise AudioError(f"{name}: the clip starts at {start:g} s; give seconds from the start of the recording")
    first = round(start * sample_rate)
    if end is None:
        return first, None
    if not start < end < math.inf or round(end * sample_rate) == first:
        raise AudioError(f"{name}: the clip starts at {start:g} s and ends at {end:g} s; it must end after its start")
    return first, round(end * sample_rate)


def source_name(file: AudioSource) -> str:
    """Return the name of a recording for messages: its path, or the type of a stream without a name."""
    if isinstance(file, (str, PathLike)):
        return str(Path(file))
    return str(getattr(file, "name", f"<{type(file).__name__}>"))


@contextlib.contextmanager
def _local_file(file: AudioSource) -> Iterator[tuple[Path, str]]:
    """Yield the path of a regular file with the content of `file`, and the name of `file` for messages.

    Bytes and streams are written to a temporary file, because decoders seek in a recording, and a pipe cannot.
    """
    name = source_name(file)
    if isinstance(file, StoredAudio):
        file = file.read()
    if isinstance(file, (str, PathLike)):
        path = Path(file)
        if path.is_dir():
            raise AudioError(f"{name}: a folder, not an audio file")
        if not path.exists():
            raise AudioError(f"{name}: no such file")
        if path.is_file():
            if path.stat().st_size == 0:
                raise AudioError(f"{name}: the file is empty (0 bytes)")
            yield path, name
            return
        with path.open("rb") as pipe, _local_file(pipe) as (copy, _):  # a named pipe, /dev/stdin or <(command)
            yield copy, name
        return

    with tempfile.NamedTemporaryFile(prefix="recording-") as copy:
        if not isinstance(file, BYTES) and not hasattr(file, "read"):
            raise AudioError(f"{type(file).__name__} is not a recording; give a path, bytes or a binary stream")
        stream = io.BytesIO(file) if isinstance(file, BYTES) else file
        if isinstance(stream.read(0), str):
            raise AudioError(f"{name}: opened as text; open it in binary mode, 'rb'")
        with name_temp_folder_when_full():
            shutil.copyfileobj(stream, copy)
            copy.flush()
        if copy.tell() == 0:
            raise AudioError(f"{name}: the recording is empty (0 bytes)")
        yield Path(copy.name), name


def _decode(path: Path, name: str, sample_rate: int, first: int, stop: int | None) -> Iterator[np.ndarray]:
    """Yield samples `first` to `stop` (None: to the end) of a recording at `sample_rate`."""
    state = path.stat()
    parts = _find_parts(path, state.st_size, state.st_mtime_ns)
    with path.open("rb", buffering=0) as file:
        if len(parts) == 1:
            yield from _decode_part(file, path, name, parts[0], sample_rate, first, stop)
            return
        # The length of a part is known only when it is decoded.
        decoded = (_decode_part(file, path, name, part, sample_rate, 0, None) for part in parts)
        yield from _slice_blocks(itertools.chain.from_iterable(decoded), first, stop)


@functools.lru_cache(maxsize=1024)  # many clips may be stretches of one file
def _find_parts(path: Path, size: int, changed: int) -> list[Part]:
    with path.open("rb") as file:
        return find_parts(FileBytes(file))


def _decode_part(
    file: BinaryIO, path: Path, name: str, part: Part, sample_rate: int, first: int, stop: int | None
) -> Iterator[np.ndarray]:
    """Yield samples `first` to `stop` of one of the recordings in a file; raise AudioError if they are not there."""
    position = first
    try:
        for block in _decode_by_libsndfile(file, name, part, sample_rate, first, stop):
            yield block
            position += len(block)
    except soundfile.LibsndfileError as error:
        for block in _slice_blocks(_decode_by_ffmpeg(path, name, part, sample_rate, error), position, stop):
            yield block
            position += len(block)
    if stop is not None and position >= stop:
        return
    if part.fault:
        raise AudioError(f"{name}: {part.fault}")
    seconds = position / sample_rate
    if part.seconds and seconds < part.seconds - END_TOLERANCE:
        there = f"its header promises {part.seconds:.1f} s, and {seconds:.1f} s can be read"
        raise AudioError(f"{name}: the recording is cut short or damaged: {there}; {ADVICE}")


def _reason(error: Exception) -> str:
    text = getattr(error, "error_string", None) or str(error)
    return text.rstrip(".").strip()


def _slice_blocks(blocks: Iterable[np.ndarray], first: int, stop: int | None) -> Iterator[np.ndarray]:
    """Yield samples `first` to `stop` (None: to the end) of successive blocks, and read no further."""
    position = 0
    for block in blocks:
        part = block[max(first - position, 0) : None if stop is None else stop - position]
        if part.size:
            yield part
        position += len(block)
        if stop is not None and position >= stop:
            return


def _decode_by_libsndfile(
    file: BinaryIO, name: str, part: Part, sample_rate: int, first: int, stop: int | None
) -> Iterator[np.ndarray]:
    with (
        part_file(file, part) as content,
        # Through the descriptor, so that the content alone decides the format: a wrong suffix does no harm.
        soundfile.SoundFile(content.fileno(), closefd=False) as sound,
    ):
        rate = sound.samplerate
        if not RATES[0] <= rate <= RATES[1]:
            raise AudioError(f"{name}: the header gives an impossible rate, {rate} samples a second; export it again")
        # Resample from a multiple of `down` before the stretch, far enough that the filter reads real samples.
        up, down, _, reach = _resampling_filter(rate, sample_rate)
        steps = max(first // up - reach // down, 0)
        source_first = steps * down
        source_stop = None if stop is None else -(-stop * down // up) + reach
        seek_to = min(max(source_first - round(LEAD_IN * rate), 0), sound.frames) if sound.seekable() else 0
        if seek_to:
            sound.seek(seek_to)
        source = _slice_blocks(
            _mono_blocks(sound), source_first - seek_to, None if source_stop is None else source_stop - seek_to
        )
        resampled = resample(source, rate, sample_rate)
        yield from _slice_blocks(resampled, first - steps * up, None if stop is None else stop - steps * up)


def _mono_blocks(sound: soundfile.SoundFile) -> Iterator[np.ndarray]:
    # Read until no samples come, because the length in a header may be wrong.
    while len(samples := sound.read(BLOCK, dtype="float32", always_2d=True)):
        with np.errstate(invalid="ignore"):  # NaN is refused later
            mono = samples.mean(axis=1)
        yield mono


def _decode_by_ffmpeg(
    path: Path, name: str, part: Part, sample_rate: int, error: soundfile.LibsndfileError
) -> Iterator[np.ndarray]:
    """Decode what libsndfile cannot, from the start; `error` is its reason."""
    program = shutil.which("ffmpeg")
    if program is None:
        unknown = error.code in _UNKNOWN_FORMAT or part.strict
        problem = f"not a readable audio file ({_reason(error)}). {FFMPEG_HINT}"
        damage = f"the recording is cut short or damaged ({_reason(error)}); {ADVICE}"
        raise AudioError(f"{name}: {part.fault or (problem if unknown else damage)}")
    try:
        yield from ffmpeg_blocks(program, path, part, sample_rate)
    except FfmpegError as failure:
        raise AudioError(f"{name}: {part.fault or failure}") from None


class _ResamplingFilter(NamedTuple):
    """The filter of `scipy.signal.resample_poly` from one rate to another."""

    up: int  # samples out for every `down` samples in
    down: int
    taps: np.ndarray
    reach: int  # samples in, on either side, that a sample out depends on; a multiple of `down`


@functools.cache
def _resampling_filter(rate: int, target_rate: int) -> _ResamplingFilter:
    if rate == target_rate:
        return _ResamplingFilter(up=1, down=1, taps=np.ones(1, dtype=np.float32), reach=0)
    divisor = math.gcd(rate, target_rate)
    up, down = target_rate // divisor, rate // divisor
    half_length = 10 * max(up, down)
    taps = scipy.signal.firwin(2 * half_length + 1, 1 / max(up, down), window=("kaiser", 5.0)).astype(np.float32)
    return _ResamplingFilter(up, down, taps, reach=down * math.ceil(half_length / (up * down) + 1))


def resample(blocks: Iterable[np.ndarray], rate: int, target_rate: int) -> Iterator[np.ndarray]:
    """Change the sampling rate of successive blocks of float32 samples.

    The result equals `scipy.signal.resample_poly` of all samples at once: each stretch is filtered together with as
    many samples on either side as the filter reaches.

    Args:
        blocks: Arrays of shape (n_samples,).
        rate: Their rate in Hz.
        target_rate: The rate of the result in Hz.
    """
    up, down, taps, reach = _resampling_filter(rate, target_rate)
    if up == down:
        yield from blocks
        return

    def filtered(samples: np.ndarray) -> np.ndarray:
        # The stubs do not accept a float32 array of taps.
        resampled = scipy.signal.resample_poly(samples, up, down, window=taps)  # type: ignore[call-overload]
        return resampled[reach // down * up :]

    waiting = np.zeros(reach, dtype=np.float32)
    for block in blocks:
        waiting = np.concatenate([waiting, block])
        steps = len(waiting) // down - 2 * reach // down
        if steps > 0:
            yield filtered(waiting[: steps * down + 2 * reach])[: steps * up]
            waiting = waiting[steps * down :]
    n_left = -(-(len(waiting) - reach) * up // down)  # rounded up
    yield filtered(np.pad(waiting, (0, reach)))[:n_left]


def pad_or_trim(array, length: int = N_SAMPLES, *, axis: int = -1):
    """Cut an array to a length along an axis, or fill it up with zeros at the end.

    Args:
        array: A NumPy or an MLX array; the result is of the same kind.
        length: The length to reach; by default that of a window, 30 s of samples.
        axis: The axis to cut or fill up.
    """
    axis %= array.ndim
    size = array.shape[axis]
    if size > length:
        return array[(slice(None),) * axis + (slice(0, length),)]
    if size < length:
        widths = [(0, 0)] * array.ndim
        widths[axis] = (0, length - size)
        return np.pad(array, widths) if isinstance(array, np.ndarray) else mx.pad(array, widths)
    return array
