"""The length of a recording as its header gives it, in a few reads and without decoding.

A header may be wrong. Only decoding shows how long a recording is, and whether it can be decoded.
"""

import functools
import io
import os
import struct
from os import PathLike
from typing import BinaryIO

import soundfile

from mlx_whisper_lora.whisper.audio.framed import mpeg_seconds
from mlx_whisper_lora.whisper.audio.load import BYTES, RATES, AudioSource, StoredAudio
from mlx_whisper_lora.whisper.audio.parts import FileBytes

_HEAD, _TAIL = 4096, 2**16 + 512  # bytes read from either end; an Ogg page has up to 65,307
_SLACK = 512  # bytes that may follow the samples of a WAV file
_UNCOMPRESSED = (1, 3, 0xFFFE)  # WAV's codes for whole numbers, floats and either one
_OPUS_RATE = 48000  # of the positions in an Opus stream, whatever the rate of the recording was


def header_seconds(audio: AudioSource) -> float | None:
    """Return the length of a recording in seconds, as its header gives it.

    Args:
        audio: A recording.

    Returns:
        The length. None if the header does not give it, does not fit the size of the file or is not one that libsndfile
        reads, or if the audio is a stream.
    """
    if isinstance(audio, StoredAudio):
        audio = audio.read()
    if isinstance(audio, BYTES):
        return _seconds(io.BytesIO(audio))
    if not isinstance(audio, (str, PathLike)):
        return None
    path = os.fspath(audio)
    try:
        state = os.stat(path)
        return _file_seconds(path, state.st_size, state.st_mtime_ns)
    except OSError:
        return None


@functools.lru_cache(maxsize=1024)  # many clips may be stretches of one file
def _file_seconds(path: str, size: int, changed: int) -> float | None:
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 (a Path takes longer to make than to open)
        return _seconds(file)


def _seconds(file: BinaryIO) -> float | None:
    head, size = file.read(_HEAD), file.seek(0, os.SEEK_END)
    if head.startswith(b"RIFF") and head[8:12] == b"WAVE":
        return _wav_seconds(head, size)
    if head.startswith(b"fLaC\0\0\0\x22"):
        packed = int.from_bytes(head[18:26], "big")  # rate (20 bits), channels (3), bits (5), samples (36)
        rate, samples = packed >> 44, packed & (2**36 - 1)
        return samples / rate if rate and samples else None
    if head.startswith(b"OggS"):
        file.seek(max(size - _TAIL, 0))
        return _ogg_seconds(head, file.read(_TAIL))
    if (seconds := mpeg_seconds(FileBytes(file))) is not None:
        return seconds
    file.seek(0)
    try:
        with soundfile.SoundFile(file) as sound:
            return sound.frames / sound.samplerate if 0 < sound.frames < 2**62 else None
    except soundfile.LibsndfileError:
        return None


def _wav_seconds(head: bytes, size: int) -> float | None:
    position, byte_rate = 12, 0
    while position + 8 <= len(head):
        name, length = struct.unpack_from("<4sI", head, position)
        body = position + 8
        if name == b"fmt " and length >= 16 and body + 16 <= len(head):
            kind, _, rate, byte_rate, frame_bytes = struct.unpack_from("<HHIIH", head, body)
            if kind not in _UNCOMPRESSED or not RATES[0] <= rate <= RATES[1] or byte_rate != rate * frame_bytes:
                return None
        elif name == b"data":
            there = size - body
            return length / byte_rate if byte_rate and 0 < length <= there <= length + _SLACK else None
        position = body + length + length % 2
    return None


def _ogg_seconds(head: bytes, tail: bytes) -> float | None:
    """Return the length of an Ogg stream of Opus or Vorbis, from the position in its last page (RFC 3533)."""
    last = tail.rfind(b"OggS")
    page, packet = tail[last : last + 27 + 255], head[28:]  # the first page has one packet, and one byte for its length
    if last < 0 or len(page) < 27 or page[14:18] != head[14:18] or not page[5] & 4:
        return None  # another stream follows, or the end is missing
    if last + 27 + page[26] + sum(page[27 : 27 + page[26]]) > len(tail):
        return None
    position = int.from_bytes(page[6:14], "little")
    if packet.startswith(b"OpusHead"):
        first, rate = int.from_bytes(packet[10:12], "little"), _OPUS_RATE
    elif packet.startswith(b"\x01vorbis"):
        first, rate = 0, int.from_bytes(packet[12:16], "little")
    else:
        return None
    return (position - first) / rate if first < position < 2**62 and rate else None
