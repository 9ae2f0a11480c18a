"""The processes that train together."""

import contextlib
import re
import signal
import threading
import time
from collections.abc import Iterator
from typing import TypeVar

import mlx.core as mx

from mlx_whisper_lora.whisper.model.ops import limit_blas_threads
from mlx_whisper_lora.whisper.stopping import give_up, signals_handled_by

T = TypeVar("T")

_OF_A_CONNECTION = re.compile(r"\[(ring|jaccl|mpi|nccl)\]")  # MLX's errors begin with the name of the backend
_LEAST_PATIENCE = 50.0  # seconds that a step may take before the other processes count as frozen
_PATIENCE = 10.0  # as a multiple of the longest step so far


class World:
    """The processes that `mlx.launch` started, or this one alone. Each process leaves the others their CPU cores.

    Attributes:
        rank: the number of this process, from 0.
        size: the number of processes.
    """

    def __init__(self) -> None:
        with signals_handled_by(signal.SIG_DFL), _name_lost_process():  # MLX waits here for the others, deaf to signals
            group = mx.distributed.init()
        self.rank: int = group.rank()
        self.size: int = group.size()
        limit_blas_threads(self.size)

    @property
    def speaks(self) -> bool:
        """Whether this process prints, evaluates and writes files."""
        return self.rank == 0

    def share(self, items: list[T]) -> list[T]:
        """Return the part of `items` that this process works on."""
        return items[self.rank :: self.size]

    def sum(self, x: mx.array) -> mx.array:
        """Return the sum of an array over all processes."""
        return mx.distributed.all_sum(x)


@contextlib.contextmanager
def _name_lost_process() -> Iterator[None]:
    """Turn MLX's error for a process that cannot be reached into a ConnectionError."""
    try:
        yield
    except RuntimeError as error:
        if not _OF_A_CONNECTION.match(str(error)):
            raise
        raise ConnectionError(f"the connection to the other processes that train along failed: {error}") from error


class StepWatch:
    """Watches the steps of processes that train together, in which MLX waits for the others without an end.

    If another process is dead, a step raises ConnectionError. If another one is frozen, the program gives up, and
    `at_stop` saves what there is. The first step is not timed: the others may still be loading.
    """

    def __init__(self, world: World):
        self.started: float | None = None  # of the step that is running
        self.longest = 0.0
        if world.size > 1 and world.speaks:  # the others wait for this process while it evaluates
            threading.Thread(target=self._watch, daemon=True).start()

    @contextlib.contextmanager
    def step(self) -> Iterator[None]:
        """Watch a step.

        Raises:
            ConnectionError: another process has ended.
        """
        self.started = started = time.monotonic()
        try:
            with _name_lost_process():
                yield
        finally:
            self.started = None
        self.longest = max(self.longest, time.monotonic() - started)

    def _watch(self) -> None:
        while True:
            time.sleep(1)
            if self._is_stuck():
                give_up(ConnectionError("another process that trains along does not answer anymore"), self._is_stuck)

    def _is_stuck(self) -> bool:
        started = self.started
        if started is None or not self.longest:
            return False
        return time.monotonic() - started > max(_LEAST_PATIENCE, _PATIENCE * self.longest)
