"""Arrays in a temporary file."""

import errno
import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from mlx_whisper_lora.data.array_cache import ArrayCache


class FullDisk(io.BytesIO):
    def write(self, data):
        raise OSError(errno.ENOSPC, "no space left on device")


def array(number: int) -> np.ndarray:
    return np.full((3, number + 1), number, np.float16 if number % 2 else np.float32)


def test_threads_find_what_others_have_kept():
    cache = ArrayCache(1e6, "test-")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: cache.put(i % 50, array(i % 50)), range(200)))
        found = list(pool.map(cache.get, range(50)))
    for number, each in enumerate(found):
        np.testing.assert_array_equal(each, array(number), strict=True)
    assert cache.get(50) is None


def test_what_exceeds_the_limit_is_not_kept():
    cache = ArrayCache(100, "test-")
    for number in range(5):
        cache.put(number, array(number))  # of 12, 12, 36, 24 and 60 bytes
    assert [cache.get(number) is not None for number in range(5)] == [True, True, True, True, False]


def test_a_full_disk_ends_the_caching_and_what_is_kept_still_serves(monkeypatch):
    cache = ArrayCache(1e6, "test-")
    cache.put(0, array(0))
    file = cache._file
    monkeypatch.setattr(cache, "_file", FullDisk())
    cache.put(1, array(1))
    monkeypatch.setattr(cache, "_file", file)
    cache.put(2, array(2))
    np.testing.assert_array_equal(cache.get(0), array(0))
    assert cache.get(1) is None and cache.get(2) is None
