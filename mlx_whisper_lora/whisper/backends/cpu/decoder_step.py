"""One step of a decoder block on a CPU, in NumPy: one token in each row.

A step does little arithmetic and reads all weights of the block, which takes as long as the memory needs. MLX sends
each product of a single row to BLAS as one of matrices, at half the speed, and starts each operation for itself.
"""

import mlx.core as mx
import mlx.nn as nn
import numpy as np

from mlx_whisper_lora.whisper.backends.cpu.kernels import gelu_rows


def block_step(block: nn.Module, x: mx.array, cache) -> mx.array:
    """Compute a decoder block for the next token of each row.

    Args:
        block: the block. Its layers may be of any kind; plain ones are computed in NumPy.
        x: hidden states, shape (N, 1, D), float32.
        cache: the keys and values of the tokens before, of which at least one was computed. The call adds its own.

    Returns:
        The output, shape (N, 1, D).
    """
    states = _numpy(x)[:, 0]
    attn, cross_attn = block.attn, block.cross_attn

    normed = _layer_norm(block.attn_ln, states)
    new = (_split(_linear(layer, normed), attn.n_head) for layer in (attn.key, attn.value))
    keys, values = map(_numpy, cache.extend(tuple(map(mx.array, new))))
    states = states + _attend(attn, normed, keys, values)

    keys, values = map(_numpy, cache.audio)
    states = states + _attend(cross_attn, _layer_norm(block.cross_attn_ln, states), keys, values)

    hidden = gelu_rows(_linear(block.mlp1, _layer_norm(block.mlp_ln, states)))
    states = states + _linear(block.mlp2, hidden)
    return mx.array(states[:, None])


@mx.custom_function
def project(weight: mx.array, x: mx.array) -> mx.array:
    """Return x @ weight^T for `x` (N, D) and `weight` (V, D)."""
    return mx.array(_product(_numpy(weight), _numpy(x)))


@project.vjp
def _project_vjp(inputs, cotangent, _):
    weight, x = inputs
    return cotangent.T @ x, cotangent @ weight


def _numpy(array: mx.array) -> np.ndarray:
    return np.array(array, copy=False)


def _product(weight: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return x @ weight^T. One row is a product with a vector for BLAS, which reads the weight at full speed."""
    return (weight @ x[0])[None] if len(x) == 1 else x @ weight.T


def _linear(layer: nn.Module, x: np.ndarray) -> np.ndarray:
    if type(layer) is not nn.Linear:
        return _numpy(layer(mx.array(x)))
    y = _product(_numpy(layer.weight), x)
    if "bias" in layer:
        y += _numpy(layer.bias)
    return y


def _layer_norm(layer: nn.LayerNorm, x: np.ndarray) -> np.ndarray:
    centered = x - x.mean(axis=-1, keepdims=True)
    centered /= np.sqrt(np.square(centered).mean(axis=-1, keepdims=True) + layer.eps)
    centered *= _numpy(layer.weight)
    centered += _numpy(layer.bias)
    return centered


def _split(x: np.ndarray, heads: int) -> np.ndarray:
    """Split (N, D) into heads (N, heads, 1, D / heads)."""
    return x.reshape(len(x), heads, 1, -1)


def _attend(attention: nn.Module, x: np.ndarray, keys: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Attend from (N, D) to keys and values (B, heads, S, D / heads) of B windows, each of which serves N / B rows."""
    query = _linear(attention.query, x)
    query *= keys.shape[-1] ** -0.5
    query = query.reshape(len(keys), -1, attention.n_head, keys.shape[-1]).swapaxes(1, 2)
    scores = query @ keys.swapaxes(2, 3)
    scores -= scores.max(axis=-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=-1, keepdims=True)
    return _linear(attention.out, (scores @ values).swapaxes(1, 2).reshape(x.shape))
