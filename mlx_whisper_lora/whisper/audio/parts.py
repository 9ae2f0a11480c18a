"""The recordings inside a file: files joined with `cat` and chained Ogg streams hold several, one after another."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

_BLOCK = 2**16  # bytes that are read at a time
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


def cut_short(detail: str) -> str:
    """Describe a recording whose end is missing."""
    return f"the recording is cut short: {detail}; {ADVICE}"


def bytes_missing(promised: int, there: int) -> str:
    """Describe a recording with fewer bytes than its header promises."""
    return cut_short(f"its header promises {promised:,} bytes, and {there:,} are there")


WITHIN_BLOCK = cut_short("it ends within a block of audio, or a block is damaged")


class FileBytes:
    """The bytes of a file, at any offset and in little memory.

    Args:
        file: A regular file, opened in binary mode.
    """

    def __init__(self, file: BinaryIO):
        self._file = file
        self.size = file.seek(0, os.SEEK_END)
        self._offset, self._block = 0, b""

    def at(self, offset: int, count: int) -> bytes:
        """Return `count` bytes from `offset` on, or as many as there are."""
        if offset >= self.size:  # headers of damaged files give offsets that no file can have
            return b""
        first = offset - self._offset
        if first < 0 or first + count > len(self._block):
            self._file.seek(offset)
            self._offset, self._block, first = offset, self._file.read(max(count, _BLOCK)), 0
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


class PartFile:
    """A part of a file as a file of its own, for libsndfile.

    libsndfile ignores the exceptions of `read`, so that they are kept in `error`.
    """

    def __init__(self, file: BinaryIO, part: Part):
        self._file, self._head = file, part.head
        self._body = part.start if part.body is None else part.body
        self._size = len(part.head) + part.stop - self._body
        self._position = 0
        self.error: OSError | None = None

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to `offset` from the start, the current position or the end, and return the position."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def read(self, count: int) -> bytes:
        """Return at most `count` bytes, and none after the end or an error."""
        head = self._head[self._position : self._position + count]
        offset = self._body + max(self._position - len(self._head), 0)
        left = max(min(count, self._size - self._position) - len(head), 0)
        try:
            self._file.seek(offset)
            data = head + (self._file.read(left) if left else b"")
        except OSError as error:
            self.error = error
            return b""
        self._position += len(data)
        return data
