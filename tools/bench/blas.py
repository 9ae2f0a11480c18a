"""Time a float32 product of two 1024 by 1024 matrices through MLX and through NumPy, in turn, and print the ratio.

python -m tools.bench.blas
"""

import statistics
import time
from collections.abc import Callable

import mlx.core as mx
import numpy as np

from mlx_whisper_lora.whisper.model.ops import use_fast_blas

SIZE, ROUNDS = 1024, 21


def seconds(multiply: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    start = time.perf_counter()
    multiply()
    return time.perf_counter() - start


def main() -> None:
    library = use_fast_blas()
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, SIZE, SIZE), dtype=np.float32)
    mlx_a, mlx_b = mx.array(a), mx.array(b)
    mx.eval(mlx_a, mlx_b)
    times = [(seconds(lambda: mx.eval(mlx_a @ mlx_b)), seconds(lambda: a @ b)) for _ in range(ROUNDS)][1:]
    mlx_median, numpy_median = (statistics.median(column) for column in zip(*times, strict=True))
    gigaflops = 2 * SIZE**3 / 1e9
    print(f"BLAS that MLX calls: {library or 'its own'}")
    print(f"float32 {SIZE} x {SIZE}, median of {len(times)}:")
    for name, median in (("MLX", mlx_median), ("NumPy", numpy_median)):
        print(f"    {name}: {1e3 * median:.1f} ms ({gigaflops / median:.0f} GFLOP/s)")
    print(f"ratio MLX / NumPy: {statistics.median(x / y for x, y in times):.2f}")


if __name__ == "__main__":
    main()
