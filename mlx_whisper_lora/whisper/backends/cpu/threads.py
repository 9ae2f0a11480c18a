"""Threads that share work on a CPU: NumPy and MLX compute in several at the same time.

A large matrix product is shared by BLAS's own threads. Everything else runs on one core, unless it is shared here.
"""

import contextlib
import functools
import os
import queue
import sys
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

_in_worker = threading.local()  # `yes`: this thread does a part of some work


def share(work: Callable[[T], R], parts: Iterable[T]) -> list[R]:
    """Return what `work` returns for each part. Several parts are computed side by side, each on one core.

    A matrix product in `work` then runs on one thread. Work inside of shared work is not shared again.
    """
    parts = list(parts)
    if len(parts) == 1 or n_threads() == 1 or getattr(_in_worker, "yes", False):
        return [work(part) for part in parts]
    tasks = _tasks(n_threads())
    results: list[Future[R]] = [Future() for _ in parts]
    with _one_blas_thread():
        for result, part in zip(results, parts, strict=True):
            tasks.put((result, functools.partial(work, part)))
        return [result.result() for result in results]


@functools.cache
def _tasks(n: int) -> queue.SimpleQueue:
    """Start threads that wait for tasks, and return their queue.

    They never end. A thread that has used MLX would crash the program if it ended while the program does.
    """
    tasks: queue.SimpleQueue = queue.SimpleQueue()
    for _ in range(n):
        threading.Thread(target=_serve, args=(tasks,), daemon=True).start()
    return tasks


def _serve(tasks: queue.SimpleQueue) -> None:
    _in_worker.yes = True
    while True:
        result, task = tasks.get()
        try:
            result.set_result(task())
        except BaseException as error:
            result.set_exception(error)
        del result, task  # what they hold would stay in memory until the next task


def limit_threads(processes: int) -> None:
    """Limit the threads to this process's share of the cores, if several processes run on this machine."""
    if processes > 1 and sys.platform.startswith("linux"):
        share_of_cores = max(len(os.sched_getaffinity(0)) // processes, 1)
        _blas_controller().limit(limits=min(share_of_cores, n_threads()))
        n_threads.cache_clear()


@functools.cache
def n_threads() -> int:
    """Return the number of parts that are computed side by side: BLAS's threads, which OPENBLAS_NUM_THREADS sets."""
    if not sys.platform.startswith("linux"):
        return os.cpu_count() or 1
    return max(library.num_threads for library in _blas_controller().lib_controllers)


def _one_blas_thread() -> contextlib.AbstractContextManager:
    """Limit NumPy's BLAS to one thread. On macOS it is Accelerate, which decides for itself."""
    return _blas_controller().limit(limits=1) if sys.platform.startswith("linux") else contextlib.nullcontext()


@functools.cache
def _blas_controller():
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
