"""NumPy kernels for a CPU: GELU, attention and cross-entropy, forward and backward.

MLX's `exp` and `erf` compute about 50 million elements a second on a Linux CPU, and NumPy's `exp` computes ten times as
many. NumPy takes over if exponentials are most of the work, as in the softmax of long attention and of a large
vocabulary. Attention shares its heads among as many threads as BLAS has. `mx.compile` cannot compile these kernels.
"""

import contextlib
import functools
import math
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import mlx.core as mx
import numpy as np

_CACHE_FLOATS = 65536  # numbers that fit a core's cache, so that each is fetched from memory once


def gelu(x: mx.array) -> mx.array:
    """Return the exact Gaussian error linear unit x * Phi(x) of float32 numbers.

    Phi is computed from a rational function (largest error 4e-7), in parts that stay in the cache. Forward and gradient
    together take a fifth of the time that they take with MLX's `erf` and `exp`.
    """
    return _gelu(x)[0]


# erf(s) = s * P(s^2) / Q(s^2) for |s| < 3.9, beyond which float32 has erf = 1. The coefficients are a minimax fit:
# least squares on 4,000 Chebyshev nodes, reweighted by the error 60 times (Lawson's algorithm).
# fmt: off
_ERF_P = (1.1283790323914231, 0.19194142633768493, 0.052966974177290425, 0.0038368933145260242,
          0.0002874574896357919, 2.050382525615107e-06)
_ERF_Q = (1.0, 0.503435438406569, 0.11475837402708701, 0.015109240105089492, 0.0011817382552654328,
          3.823070398215164e-05)
# fmt: on


def _horner(x: np.ndarray, coefficients: tuple[float, ...]) -> np.ndarray:
    """Return the polynomial of `x` with these coefficients, the constant first."""
    result = x * coefficients[-1]
    result += coefficients[-2]
    for coefficient in coefficients[-3::-1]:
        result *= x
        result += coefficient
    return result


@mx.custom_function
def _gelu(x: mx.array) -> tuple[mx.array, mx.array]:
    """Return x * Phi(x), and Phi(x) for the gradient."""
    numbers = np.array(x, copy=False).reshape(-1)
    phi = np.empty_like(numbers)
    for part in _slices(len(numbers)):
        s = np.clip(numbers[part] * np.float32(math.sqrt(0.5)), -3.9, 3.9)
        square = s * s
        erf = _horner(square, _ERF_P)
        erf /= _horner(square, _ERF_Q)
        erf *= s
        np.multiply(erf + 1, 0.5, out=phi[part])
    return mx.array((numbers * phi).reshape(x.shape)), mx.array(phi.reshape(x.shape))


@_gelu.vjp
def _gelu_vjp(x, cotangents, outputs):
    """Return the gradient, from d(x Phi)/dx = Phi + x * density."""
    numbers, phi = (np.array(array, copy=False).reshape(-1) for array in (x, outputs[1]))
    slope = np.empty_like(numbers)
    for part in _slices(len(numbers)):
        density = numbers[part] * numbers[part]
        density *= -0.5
        np.exp(density, out=density)
        density *= 1 / math.sqrt(2 * math.pi)
        density *= numbers[part]
        np.add(density, phi[part], out=slope[part])
    return cotangents[0] * mx.array(slope.reshape(x.shape))


def _slices(count: int) -> Iterator[slice]:
    """Yield slices of `count` numbers that fit a core's cache."""
    return (slice(first, first + _CACHE_FLOATS) for first in range(0, count, _CACHE_FLOATS))


def attention(query: mx.array, key: mx.array, value: mx.array) -> mx.array:
    """Return softmax(query @ key^T) @ value for float32 heads (B, heads, T, D). The query is already scaled."""
    return _attention(query, key, value)


def _for_heads(work: Callable[[slice], None], heads: int, queries: int, keys: int) -> None:
    """Call `work` with slices of heads whose scores fit a core's cache, or with one head after another.

    The calls are shared among as many threads as BLAS has, because NumPy computes in several at the same time. Each
    product runs on one of them, as it is too small to be shared. Numbers that are not finite pass through without a
    warning, as in MLX.
    """

    def quiet(part: slice) -> None:
        with np.errstate(invalid="ignore", over="ignore"):
            work(part)

    some = max(_CACHE_FLOATS // (queries * keys), 1)
    pool = _pool()
    with _one_blas_thread():
        list(pool.map(quiet, (slice(head, head + some) for head in range(0, heads, some))))


@functools.cache
def _pool() -> ThreadPoolExecutor:
    """Return as many threads as NumPy's BLAS has, which OPENBLAS_NUM_THREADS sets on Linux."""
    if not sys.platform.startswith("linux"):
        return ThreadPoolExecutor(os.cpu_count())
    return ThreadPoolExecutor(max(library.num_threads for library in _blas_controller().lib_controllers))


def _one_blas_thread() -> contextlib.AbstractContextManager:
    """Limit NumPy's BLAS to one thread. On macOS it is Accelerate, which decides for itself."""
    return _blas_controller().limit(limits=1) if sys.platform.startswith("linux") else contextlib.nullcontext()


@functools.cache
def _blas_controller():
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


@mx.custom_function
def _attention(query: mx.array, key: mx.array, value: mx.array) -> mx.array:
    """Compute softmax(query @ key^T) @ value from one part of the scores after another."""
    q, k, v = (_heads(array) for array in (query, key, value))
    output = np.empty(q.shape, np.float32)

    def work(heads: slice) -> None:
        for rows in _row_slices(q.shape[1], k.shape[1]):
            output[heads, rows] = _softmax(q[heads, rows] @ k[heads].swapaxes(1, 2)) @ v[heads]

    _for_heads(work, len(q), q.shape[1], k.shape[1])
    return mx.array(output.reshape(query.shape))


@_attention.vjp
def _attention_vjp(inputs, cotangent, output):
    """Return the gradients. The probabilities are computed a second time, to save memory (Dao et al. 2022)."""
    q, k, v, d, o = (_heads(array) for array in (*inputs, cotangent, output))
    dq, dk, dv = np.empty(q.shape, np.float32), np.zeros(k.shape, np.float32), np.zeros(v.shape, np.float32)

    def work(heads: slice) -> None:
        for rows in _row_slices(q.shape[1], k.shape[1]):
            part = (heads, rows)
            probabilities = _softmax(q[part] @ k[heads].swapaxes(1, 2))
            dv[heads] += probabilities.swapaxes(1, 2) @ d[part]
            scores = d[part] @ v[heads].swapaxes(1, 2)
            scores -= (d[part] * o[part]).sum(axis=-1, keepdims=True)
            scores *= probabilities
            dq[part] = scores @ k[heads]
            dk[heads] += scores.swapaxes(1, 2) @ q[part]

    _for_heads(work, len(q), q.shape[1], k.shape[1])
    return tuple(mx.array(made.reshape(array.shape)) for made, array in zip((dq, dk, dv), inputs, strict=True))


def _heads(array: mx.array) -> np.ndarray:
    """Reshape (B, heads, T, D) to (B * heads, T, D)."""
    return np.ascontiguousarray(np.array(array, copy=False).reshape(-1, *array.shape[2:]))


def _row_slices(queries: int, keys: int) -> Iterator[slice]:
    """Yield slices of queries whose scores of one head fit a core's cache."""
    some = max(_CACHE_FLOATS // keys, 1)
    return (slice(row, row + some) for row in range(0, queries, some))


def _softmax(scores: np.ndarray) -> np.ndarray:
    """Compute the softmax over the last axis, in place."""
    scores -= scores.max(axis=-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=-1, keepdims=True)
    return scores


def cross_entropies(logits: mx.array, labels: mx.array) -> mx.array:
    """Return the cross-entropy of each of `labels` (N,), in nats, from float32 `logits` (N, V)."""
    return _cross_entropies(logits, labels)[0]


@mx.custom_function
def _cross_entropies(logits: mx.array, labels: mx.array) -> tuple[mx.array, mx.array]:
    """Return the cross-entropies, and the probabilities (N, V) for the gradient."""
    scores = np.array(logits, copy=False)
    probabilities, log_sums = np.empty_like(scores), np.empty(len(scores), np.float32)
    step = max(_CACHE_FLOATS // scores.shape[-1], 1)
    for first in range(0, len(scores), step):
        part = slice(first, first + step)
        largest = scores[part].max(axis=-1, keepdims=True)
        exponentials = np.subtract(scores[part], largest, out=probabilities[part])
        np.exp(exponentials, out=exponentials)
        sums = exponentials.sum(axis=-1, keepdims=True)
        exponentials /= sums
        log_sums[part] = (largest + np.log(sums))[:, 0]
    chosen = mx.take_along_axis(logits, labels[:, None], axis=-1)[:, 0]
    return mx.array(log_sums) - chosen, mx.array(probabilities)


@_cross_entropies.vjp
def _cross_entropies_vjp(inputs, cotangents, outputs):
    labels, cotangent = inputs[1], cotangents[0][:, None]
    gradient = outputs[1] * cotangent
    rows = mx.arange(len(labels))
    return gradient.at[rows, labels].subtract(cotangent[:, 0]), mx.zeros_like(labels)
