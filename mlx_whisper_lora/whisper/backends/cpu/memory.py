"""The allocator of a Linux CPU."""

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # of glibc's malloc.h
_LARGEST_REUSED, _MOST_KEPT = 2**25, 2**29  # bytes. 32 MB is the most that glibc takes.


def keep_freed_memory() -> None:
    """Keep up to 512 MB of freed memory for the next arrays.

    By default, glibc returns large arrays to the system at once, and the system clears every page that it gives out
    again. That takes as long as the arithmetic of an elementwise operation. All threads share what is kept: with an
    arena for each thread, training on windows of many lengths comes to take half as much again. Other C libraries are
    left as they are.
    """
    libc = ctypes.CDLL(None)
    if sys.platform.startswith("linux") and hasattr(libc, "mallopt"):
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGEST_REUSED)
        libc.mallopt(_M_TRIM_THRESHOLD, _MOST_KEPT)
        libc.mallopt(_M_ARENA_MAX, 1)
