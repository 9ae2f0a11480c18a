"""Keep arrays in a temporary file rather than in memory."""

import contextlib
import math
import tempfile
import threading
from collections.abc import Hashable
from typing import IO, NamedTuple

import numpy as np


class _Place(NamedTuple):
    """Where an array is in the file."""

    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype


class ArrayCache:
    """Keeps arrays by key in a temporary file without a name. Several threads may use it.

    An array that would exceed the limit is not kept. If the disk is full, no more arrays are kept.

    Args:
        limit: bytes of the file. With 0, nothing is kept.
        prefix: begins the name that the file has for a moment.
    """

    def __init__(self, limit: float, prefix: str):
        self.limit, self._prefix = limit, prefix
        self._file: IO[bytes] | None = None
        self._places: dict[Hashable, _Place] = {}
        self._size = 0
        self._lock = threading.Lock()

    def __contains__(self, key: Hashable) -> bool:
        return key in self._places

    def get(self, key: Hashable) -> np.ndarray | None:
        """Return the array that was kept for a key, or None."""
        place = self._places.get(key)
        if place is None:
            return None
        assert self._file is not None
        with self._lock:
            self._file.seek(place.offset)
            return np.fromfile(self._file, place.dtype, math.prod(place.shape)).reshape(place.shape)

    def put(self, key: Hashable, array: np.ndarray) -> None:
        """Keep an array, unless there is one for the key already or no space is left."""
        with self._lock, contextlib.suppress(OSError):
            if key in self._places or self._size + array.nbytes > self.limit:
                return
            self._file = self._file or tempfile.TemporaryFile(prefix=self._prefix, buffering=0)  # noqa: SIM115
            self._file.seek(self._size)
            if self._file.write(array.tobytes()) == array.nbytes:
                self._places[key] = _Place(self._size, array.shape, array.dtype)
                self._size += array.nbytes
                return
        self.limit = self._size  # the disk is full, or there is none: what is kept still serves
