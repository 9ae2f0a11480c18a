"""The processes that train together."""

from typing import TypeVar

import mlx.core as mx

from mlx_whisper_lora.whisper.model.ops import limit_blas_threads

T = TypeVar("T")


class World:
    """The processes that `mlx.launch` started, or this one alone. Each process leaves the others their CPU cores.

    Attributes:
        rank: the number of this process, from 0.
        size: the number of processes.
    """

    def __init__(self) -> None:
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
