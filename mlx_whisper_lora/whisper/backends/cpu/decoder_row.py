"""A decoder block for one token of one sequence, in NumPy.

Such a step reads each weight once, for a product with a vector. NumPy's BLAS reads it up to four times as fast as MLX's
product of matrices does on a Linux CPU, and nothing waits for MLX in between.
"""

import math
from collections.abc import Iterator
from typing import Any, Protocol

import mlx.core as mx
import mlx.nn as nn
import numpy as np

from mlx_whisper_lora.whisper.backends.cpu.kernels import phi


class RowCache(Protocol):
    """The fields of a cache that a row needs, as in `LayerCache`."""

    audio: tuple[mx.array, mx.array] | None
    length: int

    def make_room(self, count: int, like: tuple[int, int, int], dtype: mx.Dtype) -> list[mx.array]: ...


def is_plain(block: Any) -> bool:
    """Return whether a decoder block has no adapters and no quantized layers."""
    attentions = (block.attn, block.cross_attn)
    layers = [getattr(each, name) for each in attentions for name in ("query", "key", "value", "out")]
    return all(type(layer) is nn.Linear for layer in (*layers, block.mlp1, block.mlp2))


def decode_row(block: Any, x: mx.array, cache: RowCache) -> mx.array:
    """Return the output of a plain decoder block for `x` (1, 1, D), and add its keys and values to the cache."""
    assert cache.audio is not None
    hidden = _view(x).reshape(-1)
    normed = _norm(block.attn_ln, hidden)
    hidden = hidden + _attend(block.attn, normed, *_extended_text(block.attn, normed, cache))
    audio = (_view(array)[0] for array in cache.audio)
    hidden += _attend(block.cross_attn, _norm(block.cross_attn_ln, hidden), *audio)
    inner = _linear(block.mlp1, _norm(block.mlp_ln, hidden))
    gate = np.empty_like(inner)
    phi(inner, out=gate)
    hidden += _linear(block.mlp2, inner * gate)
    return mx.array(hidden.reshape(x.shape))


def _extended_text(attention: Any, normed: np.ndarray, cache: RowCache) -> Iterator[np.ndarray]:
    """Write the keys and values of a token into the cache. Yield those of all tokens, each (heads, T, D / heads)."""
    place = cache.length
    new = [_linear(layer, normed).reshape(attention.n_head, -1) for layer in (attention.key, attention.value)]
    for array, row in zip(cache.make_room(1, (1, *new[0].shape), mx.float32), new, strict=True):
        text = _view(array)[0]  # nothing else reads the place that it is written to
        text[:, place] = row
        yield text[:, : place + 1]


def _attend(attention: Any, normed: np.ndarray, keys: np.ndarray, values: np.ndarray) -> np.ndarray:
    query = _linear(attention.query, normed).reshape(attention.n_head, -1, 1)
    scores = (keys @ (query * query.shape[1] ** -0.5))[..., 0]
    scores -= scores.max(axis=-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=-1, keepdims=True)
    return _linear(attention.out, (scores[:, None] @ values).reshape(-1))


def _norm(layer: nn.LayerNorm, x: np.ndarray) -> np.ndarray:
    centered = x - x.sum() / len(x)
    centered *= 1 / math.sqrt(centered @ centered / len(x) + layer.eps)
    return centered * _view(layer.weight) + _view(layer.bias)


def _linear(layer: nn.Linear, x: np.ndarray) -> np.ndarray:
    product = _view(layer.weight) @ x
    return product + _view(layer.bias) if "bias" in layer else product


def _view(array: mx.array) -> np.ndarray:
    return np.array(array, copy=False)
