"""The operations of the model: MLX's own, or on a CPU the faster NumPy kernels of `backends/cpu`.

Only this file imports `backends/cpu`. Without that folder, everything runs on MLX's own operations.
MLX_WHISPER_LORA_OPS=mlx chooses MLX's operations on a CPU too. `mx.compile` can compile them, but not NumPy.
MLX_WHISPER_LORA_BLAS=off leaves MLX's matrix products on MLX's own BLAS.
"""

import functools
import importlib
import math
import os
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, TypeVar

import mlx.core as mx
import mlx.nn as nn

T = TypeVar("T")
R = TypeVar("R")

# A variable, and the value that switches the NumPy kernels off, or OpenBLAS.
_OPS, _BLAS = ("MLX_WHISPER_LORA_OPS", "mlx"), ("MLX_WHISPER_LORA_BLAS", "off")
_MANY = 2**19  # numbers in the keys that single queries read, as in a window of 30 s
_FEW = 16  # rows, as of a decoding step
_SUM_BLOCK = 256  # numbers that can be added one by one in float32 without losing the small ones


@functools.cache
def _cpu_backend(module: str, variable: str, off: str) -> ModuleType | None:
    """Import a module of `backends/cpu`.

    Args:
        module: the name of the module.
        variable: an environment variable that can switch it off.
        off: the value of the variable that does so.

    Returns:
        The module, or None if it is missing or switched off.

    Raises:
        ValueError: the environment variable has another value.
    """
    value = os.environ.get(variable, "")
    if value not in ("", off):
        raise ValueError(f"the environment variable {variable} must be {off!r} or unset, got {value!r}")
    name = f"mlx_whisper_lora.whisper.backends.cpu.{module}"
    if value == off:
        return None
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if not name.startswith(error.name or name + "?"):  # a package that the backend needs is missing
            raise
        return None


def _kernels(x: mx.array) -> ModuleType | None:
    """Return the NumPy kernels if they should compute with `x`: they take float32 on a CPU."""
    if mx.default_device() == mx.gpu or x.dtype != mx.float32:
        return None
    return _cpu_backend("kernels", *_OPS)


def prepare_cpu() -> None:
    """Make matrix products and allocations fast on a Linux CPU."""
    use_fast_blas()
    if memory := _cpu_backend("memory", *_OPS):
        memory.keep_freed_memory()


def use_fast_blas() -> str | None:
    """Route MLX's matrix products on a Linux CPU to OpenBLAS. Return the path of that library, or None."""
    blas = _cpu_backend("blas", *_BLAS)
    return blas.use_fast_blas() if blas else None


def _threads() -> ModuleType | None:
    return None if mx.default_device() == mx.gpu else _cpu_backend("threads", *_OPS)


def side_by_side(work: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """Return what `work` returns for each item. On a CPU, each core works on one at a time.

    MLX's random state belongs to a thread: `work` has to seed it. The arrays that it returns must be computed.
    """
    threads = _threads()
    return threads.share(work, items) if threads else [work(item) for item in items]


def n_side_by_side() -> int:
    """Return the number of items that `side_by_side` works on at a time."""
    threads = _threads()
    return threads.n_threads() if threads else 1


def limit_threads(processes: int) -> None:
    """Limit the threads of a CPU to this process's share of the cores, if several processes run on this machine."""
    if threads := _cpu_backend("threads", *_BLAS):
        use_fast_blas()  # only libraries that are loaded can be limited
        threads.limit_threads(processes)


def gelu(x: mx.array) -> mx.array:
    """Return the exact Gaussian error linear unit x * Phi(x) (Hendrycks and Gimpel, 2016)."""
    if kernels := _kernels(x):
        return kernels.gelu(x)
    if mx.default_device() == mx.gpu:
        return nn.gelu(x)  # compiled into one kernel; on a CPU, compiling would call g++ at run time
    return x * (0.5 * (1 + mx.erf(x * math.sqrt(0.5))))


def halve(convolution: nn.Conv1d, x: mx.array) -> mx.array:
    """Return the output (B, F / 2, D') of a convolution of three frames with stride 2, for `x` (B, F, D), F even."""
    backend = _cpu_backend("convolution", *_OPS) if _kernels(x) else None
    if backend is None or type(convolution) is not nn.Conv1d:
        return convolution(x)
    return backend.halving_convolution(x, convolution.weight, convolution.bias)


def attention(query: mx.array, key: mx.array, value: mx.array, scale: float, mask: mx.array | str | None) -> mx.array:
    """Return softmax(scale * query @ key^T + mask) @ value.

    MLX's fused kernel computes it, or on a CPU the NumPy kernel if there is much to do and no mask.

    Args:
        query: shape (B, heads, T, D).
        key, value: shape (B, heads, S, D).
        scale: a factor of the scores.
        mask: "causal", an array that is added to the scores, or None.
    """
    kernels = _kernels(query)
    if kernels and mask is None and (query.shape[2] > 1 or key.size >= _MANY):
        return kernels.attention(query * scale, key, value)
    return mx.fast.scaled_dot_product_attention(query, key, value, scale=scale, mask=mask)


def decode_row(block: Any, x: mx.array, cache: Any) -> mx.array | None:
    """Return the output of a decoder block for one token of one sequence, and extend its cache.

    None: NumPy does not compute it. That is the case for more tokens or sequences, for adapters and quantized layers,
    before the cache has the audio of the window, and everywhere but on a CPU.

    Args:
        block: a ResidualAttentionBlock.
        x: hidden states, shape (B, T, D).
        cache: its LayerCache.
    """
    if x.size > x.shape[-1] or cache.audio is None or cache.padding is not None or not _kernels(x):
        return None
    row = _cpu_backend("decoder_row", *_OPS)
    return row.decode_row(block, x, cache) if row and row.is_plain(block) else None


def project(weight: mx.array, x: mx.array) -> mx.array:
    """Return x @ weight^T for `x` (..., D) and `weight` (V, D)."""
    if x.size <= _FEW * x.shape[-1] and (kernels := _kernels(x)):
        return kernels.project(weight, x.reshape(-1, x.shape[-1])).reshape(*x.shape[:-1], -1)
    return x @ weight.T


def log_sum_exp(x: mx.array) -> mx.array:
    """Return the log of the sum of exponentials over the last axis, which is kept with length 1.

    On a CPU, MLX adds up a long row in a few running sums, which lose numbers that are small beside the sum. Over a
    vocabulary, this loses a thousandth of the probability. Sums of short blocks are added there instead.
    """
    if mx.default_device() == mx.gpu:
        return mx.logsumexp(x, axis=-1, keepdims=True)
    if kernels := _kernels(x):
        return kernels.log_sum_exp(x)
    padding = [(0, 0)] * (x.ndim - 1) + [(0, -x.shape[-1] % _SUM_BLOCK)]
    blocks = mx.pad(x, padding, constant_values=-mx.inf).reshape(*x.shape[:-1], -1, _SUM_BLOCK)
    return mx.logsumexp(mx.logsumexp(blocks, axis=-1), axis=-1, keepdims=True)


def cross_entropies(logits: mx.array, labels: mx.array) -> tuple[mx.array, mx.array]:
    """Return the cross-entropy of each of `labels` (N,), in nats, and its gradient for `logits` (N, V).

    A negative label has none. The cross-entropies are computed in float32. The gradient has the type of the logits.
    """
    if kernels := _kernels(logits):
        return kernels.cross_entropies(logits, labels)
    numbers = logits.astype(mx.float32)
    log_sums = log_sum_exp(numbers)
    gradient = mx.exp(numbers - log_sums).at[mx.arange(len(labels)), labels].subtract(1)
    chosen = mx.take_along_axis(numbers, labels[:, None], axis=-1)
    counts = (labels >= 0)[:, None]
    return mx.where(counts, log_sums - chosen, 0)[:, 0], mx.where(counts, gradient, 0).astype(logits.dtype)


def compiles() -> bool:
    """Return whether `mx.compile` pays. On a CPU, it would call g++ for each new shape, and NumPy is faster."""
    return mx.default_device() == mx.gpu


def compute_now(*arrays: mx.array) -> None:
    """Compute float32 arrays on a CPU, so that what they are made of leaves the memory. Elsewhere, MLX sees to it."""
    if _kernels(arrays[0]):
        mx.eval(*arrays)
