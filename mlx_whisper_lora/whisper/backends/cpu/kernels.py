"""NumPy kernels for a CPU: GELU, attention and cross-entropy, forward and backward.

MLX's `exp` and `erf` compute about 50 million elements a second on a Linux CPU, and NumPy's `exp` and `tanh` compute
thirty times as many. NumPy takes over if exponentials are most of the work, as in the softmax of long attention and of
a large vocabulary. The work is shared by several threads. `mx.compile` cannot compile these kernels.
"""

import math
from collections.abc import Callable, Iterable, Iterator

import mlx.core as mx
import numpy as np

from mlx_whisper_lora.whisper.backends.cpu.threads import share

# Numbers that fit a core's cache, so that each is fetched from memory once.
_PART = 2**17  # of an elementwise operation
_SCORES = 3 * 2**16  # of attention
_LOGITS = 2**16  # of cross-entropy
_SAFE_SCORE = 75.0  # exponentials of such scores, and sums of thousands of them, fit float32
_KEYS = 2**14  # positions whose keys and values are worth a thread of their own
_FEW = 16  # queries
_WEIGHTS = 2**19  # of a product with a few rows, worth a thread of their own
_TILE = 8  # rows of a weight whose product with a few rows is small


def _share(work: Callable[[slice], None], parts: Iterable[slice]) -> None:
    """Call `work` with each part, in several threads if there are several parts.

    Numbers that are not finite pass through without a warning, as in MLX.
    """

    def quiet(part: slice) -> None:
        with np.errstate(invalid="ignore", over="ignore"):
            work(part)

    share(quiet, parts)


def _slices(count: int, length: int) -> Iterator[slice]:
    """Yield slices of `length` items, or of one, that cover `count` of them."""
    length = max(length, 1)
    return (slice(first, first + length) for first in range(0, count, length))


# P approximates atanh(erf(x / sqrt(2))) / x for |x| < 5.5, beyond which float32 has Phi = 0 or 1. The coefficients are
# a minimax fit: least squares on 4,000 Chebyshev nodes, weighted by the error of x * Phi(x), and reweighted by the
# largest errors 80 times (Lawson's algorithm). Hendrycks and Gimpel's approximation is the one with two coefficients.
# fmt: off
_PHI = (0.797884216, 0.036334283, -3.31296321e-05, -5.52402604e-05, 3.96912306e-06, -1.33447248e-07, 1.80563544e-09)
# fmt: on
_LARGEST_SQUARE = 5.5**2


def phi(x: np.ndarray, out: np.ndarray) -> None:
    """Compute the distribution function of the normal distribution."""
    square = np.multiply(x, x)
    np.minimum(square, _LARGEST_SQUARE, out=square)
    np.multiply(square, _PHI[-1], out=out)
    out += _PHI[-2]
    for coefficient in _PHI[-3::-1]:
        out *= square
        out += coefficient
    out *= x
    np.tanh(out, out=out)
    out += 1
    out *= 0.5


@mx.custom_function
def gelu(x: mx.array) -> mx.array:
    """Return the exact Gaussian error linear unit x * Phi(x) of float32 numbers, within 6e-7.

    Phi(x) = (1 + tanh(x * P(x^2))) / 2 with a polynomial P, computed in parts that stay in the cache.
    """
    numbers = np.array(x, copy=False).reshape(-1)
    result = np.empty_like(numbers)

    def work(part: slice) -> None:
        phi(numbers[part], out=result[part])
        result[part] *= numbers[part]

    _share(work, _slices(len(numbers), _PART))
    return mx.array(result.reshape(x.shape))


@gelu.vjp
def _gelu_vjp(x, cotangent, _):
    """Return the gradient, from d(x Phi)/dx = Phi + x * density. Phi is computed a second time, to save memory."""
    numbers, upstream = (np.array(array, copy=False).reshape(-1) for array in (x, cotangent))
    gradient = np.empty_like(numbers)

    def work(part: slice) -> None:
        slope, gate = gradient[part], np.empty_like(numbers[part])
        phi(numbers[part], out=gate)
        np.multiply(numbers[part], numbers[part], out=slope)
        slope *= -0.5
        np.exp(slope, out=slope)
        slope *= 1 / math.sqrt(2 * math.pi)
        slope *= numbers[part]
        slope += gate
        slope *= upstream[part]

    _share(work, _slices(len(numbers), _PART))
    return mx.array(gradient.reshape(x.shape))


def attention(query: mx.array, key: mx.array, value: mx.array) -> mx.array:
    """Return softmax(query @ key^T) @ value for float32 heads (B, heads, T, D). The query is already scaled."""
    return _attention(query, key, value)[0]


@mx.custom_function
def _attention(query: mx.array, key: mx.array, value: mx.array) -> tuple[mx.array, mx.array]:
    """Compute attention from one part of the scores after another (Dao et al. 2022).

    Returns the output, and for the gradient the logarithms of the sums of exponentials, shape (B, heads, T, 1).
    """
    q, k, v = (_heads(array) for array in (query, key, value))
    output, log_sums = np.empty(q.shape, np.float32), np.empty((*q.shape[:2], 1), np.float32)

    def work(heads: slice) -> None:
        keys = k[heads].swapaxes(1, 2)
        if q.shape[1] > _FEW:
            keys = np.ascontiguousarray(keys)  # products with it are a third faster
        # No score is larger than the product of the lengths of its query and key (Cauchy and Schwarz).
        safe = _longest(q[heads]) * _longest(k[heads]) < _SAFE_SCORE
        for rows in _slices(q.shape[1], _SCORES // k.shape[1]):
            scores = q[heads, rows] @ keys
            largest: np.ndarray | float = 0.0
            if not safe:
                largest = scores.max(axis=-1, keepdims=True)
                scores -= largest
            np.exp(scores, out=scores)
            sums = scores.sum(axis=-1, keepdims=True)
            np.matmul(scores, v[heads], out=output[heads, rows])
            output[heads, rows] /= sums
            np.add(np.log(sums), largest, out=log_sums[heads, rows])

    _for_heads(work, len(q), q.shape[1], k.shape[1])
    return mx.array(output.reshape(query.shape)), mx.array(log_sums.reshape(*query.shape[:-1], 1))


@_attention.vjp
def _attention_vjp(inputs, cotangents, outputs):
    """Return the gradients. The probabilities are computed a second time, to save memory."""
    q, k, v, d, o, log_sums = (_heads(array) for array in (*inputs, cotangents[0], *outputs))
    dq, dk, dv = np.empty(q.shape, np.float32), np.zeros(k.shape, np.float32), np.zeros(v.shape, np.float32)

    def work(heads: slice) -> None:
        keys, values = (np.ascontiguousarray(array[heads].swapaxes(1, 2)) for array in (k, v))
        for rows in _slices(q.shape[1], _SCORES // k.shape[1] // 2):
            part = (heads, rows)
            probabilities = q[part] @ keys
            probabilities -= log_sums[part]
            np.exp(probabilities, out=probabilities)
            dv[heads] += probabilities.swapaxes(1, 2) @ d[part]
            scores = d[part] @ values
            scores -= (d[part] * o[part]).sum(axis=-1, keepdims=True)
            scores *= probabilities
            np.matmul(scores, k[heads], out=dq[part])
            dk[heads] += scores.swapaxes(1, 2) @ q[part]

    _for_heads(work, len(q), q.shape[1], k.shape[1])
    return tuple(mx.array(made.reshape(array.shape)) for made, array in zip((dq, dk, dv), inputs, strict=True))


def _longest(vectors: np.ndarray) -> float:
    """Return the largest length of vectors in the last axis, NaN if one has a NaN."""
    return math.sqrt(np.einsum("...d,...d->...", vectors, vectors).max())


def _for_heads(work: Callable[[slice], None], heads: int, queries: int, keys: int) -> None:
    """Call `work` with slices of heads whose scores fit a core's cache, or with one head after another."""
    _share(work, _slices(heads, min(_SCORES // (queries * keys), _KEYS // keys)))


def _heads(array: mx.array) -> np.ndarray:
    """Reshape (B, heads, T, D) to (B * heads, T, D)."""
    return np.ascontiguousarray(np.array(array, copy=False).reshape(-1, *array.shape[2:]))


def cross_entropies(logits: mx.array, labels: mx.array) -> tuple[mx.array, mx.array]:
    """Return the cross-entropy of each of `labels` (N,), in nats, and its gradient for float32 `logits` (N, V).

    A negative label has none.
    """
    scores, chosen = np.array(logits, copy=False), np.array(labels, copy=False)
    gradient, losses = np.empty_like(scores), np.empty(len(scores), np.float32)

    def work(part: slice) -> None:
        rows = np.arange(len(scores))[part]
        largest = scores[part].max(axis=-1, keepdims=True)
        exponentials = np.subtract(scores[part], largest, out=gradient[part])
        np.exp(exponentials, out=exponentials)
        sums = exponentials.sum(axis=-1, keepdims=True)
        exponentials /= sums
        gradient[rows, chosen[part]] -= 1
        losses[part] = (largest + np.log(sums))[:, 0] - scores[rows, chosen[part]]

    _share(work, _slices(len(scores), _LOGITS // scores.shape[-1]))
    losses[chosen < 0] = 0
    gradient[chosen < 0] = 0
    return mx.array(losses), mx.array(gradient)


@mx.custom_function
def project(weight: mx.array, x: mx.array) -> mx.array:
    """Return x @ weight^T for a few rows `x` (N, D) and `weight` (V, D).

    BLAS copies a weight before it multiplies matrices, which takes longer than the product with a few rows. It copies
    nothing if the product is one with a vector, or small. So the weight is multiplied a few of its rows at a time.
    """
    rows, columns = np.array(x, copy=False), np.array(weight, copy=False)
    if len(rows) == 1:
        return mx.array((columns @ rows[0])[None])
    result = np.empty((len(rows), len(columns)), np.float32)

    def work(part: slice) -> None:
        its, out = columns[part], result[:, part]
        whole = len(its) - len(its) % _TILE
        tiles = its[:whole].reshape(-1, _TILE, its.shape[1])
        np.matmul(rows, tiles.swapaxes(1, 2), out=out[:, :whole].reshape(len(rows), -1, _TILE).swapaxes(0, 1))
        np.matmul(rows, its[whole:].T, out=out[:, whole:])

    _share(work, _slices(len(columns), _WEIGHTS // columns.shape[1]))
    return mx.array(result)


@project.vjp
def _project_vjp(inputs, cotangent, _):
    weight, x = inputs
    return cotangent.T @ x, cotangent @ weight


def log_sum_exp(x: mx.array) -> mx.array:
    """Return the log of the sum of exponentials over the last axis, which is kept with length 1, of float32 numbers."""
    numbers = np.array(x, copy=False)
    largest = numbers.max(axis=-1, keepdims=True)
    largest = np.where(np.isfinite(largest), largest, 0)
    with np.errstate(divide="ignore", over="ignore"):
        sums = np.exp(numbers - largest).sum(axis=-1, keepdims=True)
        return mx.array(np.log(sums) + largest)
