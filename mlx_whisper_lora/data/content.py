"""Clips by their content: what is the same clip, which split a clip belongs to, and which clips occur twice."""

import functools
import hashlib
import os
import stat
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from os import PathLike
from typing import NamedTuple

from mlx_whisper_lora.data.clip import SPLITS, Clip, Splits
from mlx_whisper_lora.data.memory import collections_paused
from mlx_whisper_lora.whisper.audio.load import BYTES, StoredAudio
from mlx_whisper_lora.whisper.terminal import progress_bar

_LARGE = 2**15  # bytes; larger recordings are not read as a whole
_PIECES, _PIECE = 3, 4096  # number and bytes of the pieces that stand for a large one
VALID_SHARE = TEST_SHARE = 0.1
LARGEST_GROUP = 1 / 3  # a speaker or a recording with a larger share of the clips always trains


class Duplicate(NamedTuple):
    """A clip whose audio another clip has too."""

    clip: Clip
    split: str
    first: Clip  # the one with the same audio that comes first
    first_split: str

    @property
    def has_same_text(self) -> bool:
        """Whether both have one text. A transcript and a translation need not be the same."""
        return self.clip.text == self.first.text or self.clip.task != self.first.task


def audio_hash(clip: Clip) -> int | None:
    """Return 64 bits that stand for the audio of a clip: its file, and the stretch of it.

    A recording of over 32 KiB counts by its size, start, middle and end, so that 100,000 files are hashed in seconds.

    Returns:
        The hash, or None if the audio is a stream, which can be read only once.
    """
    return _hash(clip, in_parts=True)


def whole_audio_hash(clip: Clip) -> int | None:
    """Return 64 bits that stand for the audio of a clip, as `audio_hash` does, but all bytes count."""
    return _hash(clip, in_parts=False)


def _hash(clip: Clip, in_parts: bool) -> int | None:
    if isinstance(clip.audio, BYTES):
        data = _bytes_hash(clip.audio, in_parts)
    elif isinstance(clip.audio, StoredAudio):
        data = _stored_hash(clip.audio, in_parts)
    elif isinstance(clip.audio, (str, PathLike)):
        path = os.fspath(clip.audio)
        try:
            state = os.stat(path)
        except OSError:
            return None
        if not stat.S_ISREG(state.st_mode):
            return None
        data = _file_hash(path, state.st_size, state.st_mtime_ns, in_parts)
    else:
        return None
    return _number(data + f"{clip.start} {clip.end}".encode())


def _bytes_hash(data: bytes | bytearray | memoryview, in_parts: bool) -> bytes:
    if not in_parts or len(data) <= _LARGE:
        return hashlib.sha256(data).digest()
    return _digest_of_pieces(len(data), lambda start: data[start : start + _PIECE])


@functools.cache  # a recording is asked for several times in a run, and several clips may be stretches of it
def _stored_hash(audio: StoredAudio, in_parts: bool) -> bytes:
    return _bytes_hash(audio.read(), in_parts)


@functools.cache
def _file_hash(path: str, size: int, changed: int, in_parts: bool) -> bytes:
    if not in_parts or size <= _LARGE:
        digest = hashlib.sha256()
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123
            while block := file.read(2**20):
                digest.update(block)
        return digest.digest()
    descriptor = os.open(path, os.O_RDONLY)  # takes half the time of a file object
    try:
        return _digest_of_pieces(size, lambda start: os.pread(descriptor, _PIECE, start))
    finally:
        os.close(descriptor)


def _digest_of_pieces(size: int, read: Callable[[int], bytes | bytearray | memoryview]) -> bytes:
    digest = hashlib.sha256(str(size).encode())
    for i in range(_PIECES):
        digest.update(read((size - _PIECE) * i // (_PIECES - 1)))
    return digest.digest()


def _number(data: bytes) -> int:
    return int.from_bytes(hashlib.sha256(data).digest()[:8], "little")


def split_by_content(clips: Sequence[Clip]) -> Splits:
    """Keep about a tenth of the clips for validation and a tenth for the test.

    The audio and the text of a clip decide, so that clips that are added later move no other clip. If the speakers are
    known, all clips of one speaker are in one split. If they are not, or are too few, all stretches of one recording
    are, unless there are too few recordings. If too few clips, recordings or speakers fall into a split by themselves,
    the nearest one is taken.
    """
    speakers = [clip.speaker or "" for clip in clips]
    if all(speakers) and (groups := _groups_to_split(speakers)):
        return _split(clips, speakers, groups)
    recordings = [recording_key(clip) for clip in clips]
    if groups := _groups_to_split(recordings):
        return _split(clips, recordings, groups)
    keys = [_clip_key(clip) for clip in clips]
    return _split(clips, keys, sorted(set(keys)))


def _clip_key(clip: Clip) -> str:
    return f"{audio_hash(clip)} {clip.text}"


def recording_key(clip: Clip) -> str:
    """Return what the stretches of a recording share. A clip that is a whole recording has a key of its own."""
    is_whole = not clip.start and clip.end is None
    return _clip_key(clip) if is_whole else f"{audio_hash(replace(clip, start=0.0, end=None))}"


def _groups_to_split(keys: Sequence[str]) -> list[str]:
    """Return the groups whose clips may be kept for validation or test, or none if there are too few of them.

    Args:
        keys: The group of each clip.
    """
    counts = Counter(keys)
    found = [key for key in sorted(counts) if counts[key] <= LARGEST_GROUP * len(keys)]
    return found if len(found) > 1 and len(counts) > 2 else []


def _split(clips: Sequence[Clip], keys: Sequence[str], movable: Sequence[str]) -> Splits:
    """Split clips by the hashes of their keys. Only the keys in `movable` may leave the training split."""
    places = {key: _number(key.encode()) / 2**64 for key in movable}
    split_of = {
        key: "valid" if place < VALID_SHARE else "test" if place < VALID_SHARE + TEST_SHARE else "train"
        for key, place in places.items()
    }
    for split in ("valid", "test"):
        left = sorted((place, key) for key, place in places.items() if split_of[key] == "train")
        if split not in split_of.values() and len(set(keys)) > 2 and left:
            split_of[left[0][1]] = split
    splits: Splits = {split: [] for split in SPLITS}
    for clip, key in zip(clips, keys, strict=True):
        splits[split_of.get(key, "train")].append(clip)
    return splits


@collections_paused()
def find_duplicates(splits: Splits) -> list[Duplicate]:
    """Return each clip whose audio another clip has, in the order train, valid, test."""
    first: dict[int, tuple[Clip, str]] = {}
    found: list[Duplicate] = []
    clips = [(clip, split) for split in SPLITS for clip in splits[split]]
    for clip, split in progress_bar(clips, desc="Comparing clips", unit="clip"):
        number = audio_hash(clip)
        if number is not None:
            other = first.setdefault(number, (clip, split))
            if other[0] is not clip and whole_audio_hash(other[0]) == whole_audio_hash(clip):
                found.append(Duplicate(clip, split, *other))
    return found
