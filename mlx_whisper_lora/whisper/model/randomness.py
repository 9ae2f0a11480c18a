"""The state of MLX's random numbers, which each thread has for itself."""

import contextlib
from collections.abc import Iterator

import mlx.core as mx


def random_state() -> int:
    """Return the state of this thread's random numbers, as a seed that leads to it."""
    high, low = mx.random.state[0].tolist()
    return (high << 32) | low


@contextlib.contextmanager
def random_numbers_from(state: int) -> Iterator[None]:
    """Draw this thread's random numbers from a state inside, and leave those drawn later as they would be."""
    later = random_state()
    mx.random.seed(state)
    try:
        yield
    finally:
        mx.random.seed(later)
