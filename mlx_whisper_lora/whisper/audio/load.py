"""From a recording in any format to 16 kHz mono samples, a few seconds at a time.

libsndfile decodes what it knows; ffmpeg, where it is installed, the rest. Nothing here holds a whole recording but
`load_audio`, whose purpose that is.
"""

import contextlib
import io
import math
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from os import PathLike
from pathlib import Path
from typing import BinaryIO

import mlx.core as mx
import numpy as np
import scipy.signal
import soundfile

from mlx_whisper_lora.whisper.atomic_files import name_temp_folder_when_full
from mlx_whisper_lora.whisper.audio.constants import N_SAMPLES, SAMPLE_RATE

BLOCK = 2**16  # samples of each channel that are decoded at a time
RATES = (1000, 400_000)  # Hz; a header that claims another is damaged
LOUDEST = 2.0**31  # 1 is full scale; some tools write floats in the range of integers
FFMPEG_HINT = (
    "M4A, MP4, AAC, WebM and other formats that libsndfile does not read need ffmpeg: install it "
    "(brew install ffmpeg, or apt install ffmpeg), or convert the file to WAV"
)

AudioSource = str | PathLike | bytes | BinaryIO


class AudioError(ValueError):
    """A recording that cannot be used; the message names the file and says what to do."""


def load_audio(file: AudioSource, sample_rate: int = SAMPLE_RATE) -> np.ndarray:
    """Read a whole recording as mono float32 samples in [-1, 1] at `sample_rate` Hz, shape (n_samples,).

    `file` and what is raised are those of `audio_blocks`.
    """
    return np.concatenate(list(audio_blocks(file, sample_rate)))


def audio_blocks(file: AudioSource, sample_rate: int = SAMPLE_RATE) -> Iterator[np.ndarray]:
    """Read a recording as successive blocks of mono float32 samples at `sample_rate` Hz, in little memory.

    `file` is a path, the bytes of a sound file, or a binary stream such as an open file, a pipe or `sys.stdin.buffer`.
    Channels are averaged; the rate is changed with a polyphase filter. What libsndfile does not know goes through
    ffmpeg, as in openai-whisper: 16-bit samples, mixed and resampled there.
    Raises AudioError when the file is missing, is no sound file or holds no sound, or holds values that are no samples.
    """
    with _local_file(file) as (path, name):
        empty = True
        for block in _decode(path, name, sample_rate):
            check_samples(block, name)
            empty = empty and block.size == 0
            yield block
        if empty:
            raise AudioError(f"{name}: the recording holds no samples")


def check_samples(samples: np.ndarray, name: str) -> None:
    """Raise AudioError, naming the recording, unless all samples are finite and of a size that sound can have."""
    if samples.size and not np.abs(samples).max() <= LOUDEST:  # so put, NaN fails too
        raise AudioError(f"{name}: the recording holds NaN, infinite or enormous samples; export it again")


@contextlib.contextmanager
def _local_file(file: AudioSource) -> Iterator[tuple[Path, str]]:
    """The path of a regular file that holds what `file` does, and the name to call it by.

    Bytes and streams are written to a temporary file: the decoders go back and forth in a recording, and a pipe cannot.
    """
    if isinstance(file, (str, PathLike)):
        path = Path(file)
        if path.is_dir():
            raise AudioError(f"{path}: a folder, not a sound file")
        if not path.exists():
            raise AudioError(f"{path}: no such file")
        if path.is_file():
            if path.stat().st_size == 0:
                raise AudioError(f"{path}: the file is empty (0 bytes)")
            yield path, str(path)
            return
        with path.open("rb") as pipe, _local_file(pipe) as (copy, _):  # a named pipe, /dev/stdin or <(command)
            yield copy, str(path)
        return

    name = str(getattr(file, "name", f"<{type(file).__name__}>"))
    with tempfile.NamedTemporaryFile(prefix="recording-") as copy:
        stream = io.BytesIO(file) if isinstance(file, bytes) else file
        if isinstance(stream.read(0), str):
            raise AudioError(f"{name}: opened as text; open it in binary mode, 'rb'")
        with name_temp_folder_when_full():
            shutil.copyfileobj(stream, copy)
            copy.flush()
        if copy.tell() == 0:
            raise AudioError(f"{name}: the recording is empty (0 bytes)")
        yield Path(copy.name), name


def _decode(path: Path, name: str, sample_rate: int) -> Iterator[np.ndarray]:
    with path.open("rb") as file:
        try:
            # By its descriptor, so that only the content tells the format: a wrong suffix does no harm.
            sound = soundfile.SoundFile(file.fileno(), closefd=False)
        except soundfile.SoundFileError as error:
            reason = _reason(error)
        else:
            with sound:
                yield from _decode_by_libsndfile(sound, name, sample_rate)
            return
    yield from _decode_by_ffmpeg(path, name, sample_rate, reason)


def _reason(error: Exception) -> str:
    text = getattr(error, "error_string", None) or str(error)
    return text.rstrip(".").strip()


def _decode_by_libsndfile(sound: soundfile.SoundFile, name: str, sample_rate: int) -> Iterator[np.ndarray]:
    if not RATES[0] <= sound.samplerate <= RATES[1]:
        raise AudioError(f"{name}: {sound.samplerate} samples a second cannot be; the file's header is damaged")

    def mono() -> Iterator[np.ndarray]:
        # Read until nothing comes: the length that a header claims may be a lie.
        while len(samples := sound.read(BLOCK, dtype="float32", always_2d=True)):
            yield samples.mean(axis=1)

    try:
        yield from resample(mono(), sound.samplerate, sample_rate)
    except soundfile.SoundFileError as error:
        raise AudioError(f"{name}: the sound file is damaged ({_reason(error)})") from None


def _decode_by_ffmpeg(path: Path, name: str, sample_rate: int, reason: str) -> Iterator[np.ndarray]:
    program = shutil.which("ffmpeg")
    if program is None:
        raise AudioError(f"{name}: not a readable sound file ({reason}). {FFMPEG_HINT}")
    command = [program, "-nostdin", "-v", "error", "-protocol_whitelist", "file", "-i", f"file:{path}",
               "-vn", "-f", "s16le", "-ac", "1", "-ar", str(sample_rate), "-"]  # fmt: skip
    with (
        tempfile.TemporaryFile() as messages,  # a pipe that nobody empties would fill up and stop ffmpeg
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=messages) as process,
    ):
        assert process.stdout is not None
        try:
            while data := process.stdout.read(2 * BLOCK):
                yield np.frombuffer(data[: len(data) // 2 * 2], dtype="<i2").astype(np.float32) / 32768
        except BaseException:  # the caller wants no more of it
            process.kill()
            raise
        if process.wait() != 0:
            messages.seek(max(messages.seek(0, os.SEEK_END) - 4096, 0))  # a damaged film fills megabytes with them
            raise AudioError(_ffmpeg_failure(name, path, messages.read().decode(errors="replace"), reason))


def _ffmpeg_failure(name: str, path: Path, messages: str, reason: str) -> str:
    if "does not contain any stream" in messages:
        return f"{name}: there is no audio track in this file"
    last = messages.strip().rpartition("\n")[2].replace(f"file:{path}: ", "")
    return f"{name}: not a readable sound file (libsndfile: {reason}; ffmpeg: {last or 'failed'})"


def resample(blocks: Iterable[np.ndarray], rate: int, target_rate: int) -> Iterator[np.ndarray]:
    """Change the sampling rate of successive blocks of float32 samples.

    The result is that of `scipy.signal.resample_poly` on the whole: each stretch is filtered together with as many
    samples on either side as the filter reaches.
    """
    if rate == target_rate:
        yield from blocks
        return
    divisor = math.gcd(rate, target_rate)
    up, down = target_rate // divisor, rate // divisor
    half_length = 10 * max(up, down)  # this filter is resample_poly's own
    taps = scipy.signal.firwin(2 * half_length + 1, 1 / max(up, down), window=("kaiser", 5.0)).astype(np.float32)
    reach = down * math.ceil(half_length / (up * down) + 1)  # in steps of `down` samples in, `up` samples out

    def filtered(samples: np.ndarray) -> np.ndarray:
        # The stubs know no float32 array of taps.
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
