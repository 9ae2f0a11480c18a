"""The processes that train together."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, TypeVar

import mlx.core as mx
import mlx.nn as nn
import numpy as np

from mlx_whisper_lora.training.heartbeat import Heartbeat, connect_neighbors
from mlx_whisper_lora.whisper.model.ops import limit_threads
from mlx_whisper_lora.whisper.stopping import signals_handled_by

T = TypeVar("T")

_OF_A_CONNECTION = re.compile(r"\[(ring|jaccl|mpi|nccl)\]")  # MLX's errors begin with the name of the backend
_TIME_TO_START = 45  # seconds for all processes to start
_ONE_BUFFER = 2**40  # bytes of gradients that are sent together: all
_heartbeat: Heartbeat | None = None  # of this process


class World:
    """The processes that `mlx.launch` started, or this one alone. Each process leaves the others their CPU cores.

    Attributes:
        rank: the number of this process, from 0.
        size: the number of processes.

    Raises:
        ConnectionError: another process cannot be reached.
    """

    def __init__(self) -> None:
        global _heartbeat
        first = _heartbeat is None and "MLX_RANK" in os.environ
        # MLX waits here for the others, deaf to signals.
        with _time_limit() if first else contextlib.nullcontext(), signals_handled_by(signal.SIG_DFL):
            with _name_lost_process():
                group = mx.distributed.init()
            self.rank: int = group.rank()
            self.size: int = group.size()
            if self.size > 1 and _heartbeat is None:
                _heartbeat = Heartbeat(connect_neighbors(self.rank, self.size, self.gather))
        limit_threads(self.size)

    @property
    def speaks(self) -> bool:
        """Whether this process prints and writes files."""
        return self.rank == 0

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Stop the body if another process is lost: it must be work that ends with an exchange with the others.

        Raises:
            ConnectionError: another process has ended or is frozen.
        """
        with _name_lost_process(), _heartbeat.needed() if _heartbeat else contextlib.nullcontext():
            yield

    def share(self, items: list[T]) -> list[T]:
        """Return the part of `items` that this process works on."""
        return items[self.rank :: self.size]

    def collect(self, results: list) -> list:
        """Return the results of all items, in their order, in every process.

        Args:
            results: those of the items that `share` returned, of types that JSON has.
        """
        parts = [json.loads(part) for part in self.gather(json.dumps(results).encode())]
        return [parts[i % self.size][i // self.size] for i in range(sum(map(len, parts)))]

    def gather(self, message: bytes) -> list[bytes]:
        """Return the messages of all processes, in every process."""
        if self.size == 1:
            return [message]
        with self.together():
            lengths = mx.distributed.all_gather(mx.array([len(message)]))
            mx.eval(lengths)
            row = np.zeros((1, max(lengths.tolist())), np.uint8)
            row[0, : len(message)] = np.frombuffer(message, np.uint8)
            rows = mx.distributed.all_gather(mx.array(row))
            mx.eval(rows)
        return [np.array(row)[:length].tobytes() for row, length in zip(rows, lengths.tolist(), strict=True)]

    def average(self, arrays: dict) -> Any:
        """Return the mean of each array over all processes. They are sent in one piece."""
        return nn.average_gradients(arrays, all_reduce_size=_ONE_BUFFER)


@contextlib.contextmanager
def _name_lost_process() -> Iterator[None]:
    """Turn MLX's error for a process that cannot be reached into a ConnectionError."""
    try:
        yield
    except RuntimeError as error:
        if not _OF_A_CONNECTION.match(str(error)):
            raise
        raise ConnectionError(f"the connection to the other processes that train along failed: {error}") from error


@contextlib.contextmanager
def _time_limit() -> Iterator[None]:
    """End this process if the body takes too long. It takes another process to do so: MLX stops all threads meanwhile.

    That one waits until its input is closed, which happens too if this process ends.
    """
    program = (
        "import os, select, sys\n"
        f"if not select.select([0], [], [], {_TIME_TO_START})[0]:\n"
        f"    print('error: the other processes did not all start within {_TIME_TO_START} seconds', file=sys.stderr)\n"
        f"    os.kill({os.getpid()}, {int(signal.SIGTERM)})\n"
    )
    guard = subprocess.Popen([sys.executable, "-I", "-S", "-c", program], stdin=subprocess.PIPE)
    try:
        yield
    finally:
        guard.communicate()
