"""The NumPy kernels, compared with MLX's own operations."""

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest

from mlx_whisper_lora.whisper.backends.cpu import kernels


def value_and_gradients(function, *arrays: mx.array) -> list[np.ndarray]:
    """Return the sum of squares of a function's result, and its gradient for each array."""

    def energy(*arrays):
        return (function(*arrays) ** 2).sum()

    value, gradients = mx.value_and_grad(energy, argnums=tuple(range(len(arrays))))(*arrays)
    return [np.array(each) for each in (value, *gradients)]


def assert_alike(ours: list[np.ndarray], mlxs: list[np.ndarray], **tolerance) -> None:
    for one, other in zip(ours, mlxs, strict=True):
        np.testing.assert_allclose(one, other, **tolerance)


# All at once, some heads at a time, and some rows of one head.
@pytest.mark.parametrize(("queries", "keys"), [(1, 30_000), (5, 7), (20, 1500), (300, 500)])
def test_attention_and_its_gradients_are_mlxs(queries, keys):
    mx.random.seed(0)
    query, key, value = (mx.random.normal((2, 3, length, 8)) for length in (queries, keys, keys))

    def mlxs(*arrays):
        return mx.fast.scaled_dot_product_attention(*arrays, scale=1.0)

    ours = value_and_gradients(kernels.attention, query, key, value)
    assert_alike(ours, value_and_gradients(mlxs, query, key, value), atol=1e-3, rtol=1e-5)


def test_gelu_and_its_gradient_are_mlxs():
    x = mx.concatenate([mx.linspace(-6, 6, 1001), mx.array([-1e4, 0, 1e4])])
    with_erf = value_and_gradients(lambda x: x * (1 + mx.erf(x / 2**0.5)) / 2, x[:1001])
    assert_alike(value_and_gradients(kernels.gelu, x[:1001]), with_erf, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(kernels.gelu(x)[1001:], [0, 0, 1e4], atol=1e-3)


def test_cross_entropies_and_their_gradients_are_mlxs():
    mx.random.seed(0)
    logits, labels = mx.random.normal((6, 70_000)) * 5, mx.array([3, 0, 69_999, 5, 5, 7])
    expected = nn.losses.cross_entropy(logits, labels)
    gradient = mx.grad(lambda x: nn.losses.cross_entropy(x, labels).sum())(logits)
    assert_alike(kernels.cross_entropies(logits, labels), [expected, gradient], rtol=1e-3, atol=1e-6)


# With a rest of a tile, and a rest of a part that a thread takes.
@pytest.mark.parametrize(("rows", "shape"), [(1, (70, 8)), (3, (70, 8)), (16, (1033, 1024))])
def test_the_product_with_a_few_rows_and_its_gradients_are_mlxs(rows, shape):
    mx.random.seed(0)
    arrays = mx.random.normal(shape) / shape[1] ** 0.5, mx.random.normal((rows, shape[1]))
    ours = value_and_gradients(kernels.project, *arrays)
    assert_alike(ours, value_and_gradients(lambda weight, x: x @ weight.T, *arrays), rtol=1e-4, atol=1e-4)
