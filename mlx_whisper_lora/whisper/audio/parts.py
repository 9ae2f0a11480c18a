"""The recordings inside a file: files joined with `cat` and chained Ogg streams hold several, one after another."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO

from mlx_whisper_lora.whisper.atomic_files import name_temp_folder_when_full

_BLOCK = 2**16  # bytes that are read at a time
_COPY = 2**20  # bytes that are copied at a time
ADVICE = "copy it again, or convert what is there with ffmpeg and use that"


@dataclass(frozen=True)
class Part:
    """One recording inside a file: bytes `start` to `stop`, decoded as `head` and bytes `body` to `stop`."""

    start: int
    stop: int
    head: bytes = b""  # a corrected header
    body: int | None = None  # the first byte after that header; None for `start`
    seconds: float | None = None  # the length that the header promises, if only decoding can show that it is there
    strict: bool = False  # the length is not known, and an error message of ffmpeg means that audio is missing
    fault: str | None = None  # the reason why audio is missing from the end of the part

    def moved(self, offset: int) -> "Part":
        """Return the part of a file in which `offset` bytes come before those that it was found in."""
        body = None if self.body is None else self.body + offset
        return replace(self, start=self.start + offset, stop=self.stop + offset, body=body)


def cut_short(detail: str) -> str:
    """Describe a recording whose end is missing."""
    return f"the recording is cut short: {detail}; {ADVICE}"


def bytes_missing(promised: int, there: int) -> str:
    """Describe a recording with fewer bytes than its header promises."""
    return cut_short(f"its header promises {promised:,} bytes, and {there:,} are there")


WITHIN_BLOCK = cut_short("it ends within a block of audio, or a block is damaged")


class FileBytes:
    """The bytes of a file, or of a section of it, at any offset and in little memory.

    Args:
        file: A regular file, opened in binary mode.
        start: The first byte of the section.
        stop: The one after its last byte; None for the end of the file.
    """

    def __init__(self, file: BinaryIO, start: int = 0, stop: int | None = None):
        self._file, self._start = file, start
        self.size = (file.seek(0, os.SEEK_END) if stop is None else stop) - start
        self._offset, self._block = 0, b""

    def section(self, start: int, stop: int) -> "FileBytes":
        """Return bytes `start` to `stop` of these."""
        return FileBytes(self._file, self._start + start, self._start + stop)

    def at(self, offset: int, count: int) -> bytes:
        """Return `count` bytes from `offset` on, or as many as there are."""
        if offset >= self.size:  # headers of damaged files give offsets that no file can have
            return b""
        first = offset - self._offset
        if first < 0 or first + count > len(self._block):
            self._file.seek(self._start + offset)
            self._block = self._file.read(min(max(count, _BLOCK), self.size - offset))
            self._offset, first = offset, 0
        return self._block[first : first + count]

    def number(self, offset: int, count: int, order: str = "big") -> int:
        """Return the unsigned integer in `count` bytes at `offset`; bytes after the end of the file count as 0."""
        data = self.at(offset, count).ljust(count, b"\0")
        return int.from_bytes(data, "big" if order == "big" else "little")

    def find(self, pattern: bytes, start: int) -> int:
        """Return the offset of the first `pattern` at or after `start`, or -1."""
        while start < self.size:
            block = self.at(start, _BLOCK)
            if (found := block.find(pattern)) >= 0:
                return start + found
            start += max(len(block) - len(pattern) + 1, 1)
        return -1

    def find_all(self, pattern: bytes, start: int = 0) -> Iterator[int]:
        """Yield the offset of every `pattern` at or after `start`."""
        while (start := self.find(pattern, start)) >= 0:
            yield start
            start += len(pattern)


@contextlib.contextmanager
def part_file(file: BinaryIO, part: Part) -> Iterator[BinaryIO]:
    """Yield a file that holds one part of `file` and no more: `file` itself, or else a temporary copy.

    The copy is there because libsndfile should read through a descriptor: it ignores what is raised in a callback,
    and a Control-C would end the recording there.

    Args:
        file: A regular file, opened in binary mode without a buffer.
        part: The part.
    """
    if part.start == 0 and part.body is None and part.stop == file.seek(0, os.SEEK_END):
        file.seek(0)
        yield file
        return
    with tempfile.TemporaryFile(prefix="recording-") as copy:
        with name_temp_folder_when_full():
            copy.write(part.head)
            position = file.seek(part.start if part.body is None else part.body)
            while block := file.read(min(_COPY, part.stop - position)):
                copy.write(block)
                position += len(block)
            copy.flush()
        os.lseek(copy.fileno(), 0, os.SEEK_SET)
        yield copy
