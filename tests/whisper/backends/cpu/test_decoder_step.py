"""The NumPy step of a decoder block, compared with MLX's own operations."""

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest

from mlx_whisper_lora.whisper.backends.cpu import decoder_step
from mlx_whisper_lora.whisper.model import ops
from mlx_whisper_lora.whisper.model.whisper import LayerCache, ResidualAttentionBlock


def outputs(block: ResidualAttentionBlock, windows: int, rows: int, steps: int) -> list[np.ndarray]:
    """Return the outputs of a prompt and of steps after it, each with `rows` rows."""
    mx.random.seed(1)
    cache, audio = LayerCache(), mx.random.normal((windows, 9, 64))
    found = [block(mx.random.normal((windows, 3, 64)), audio, "causal", cache)[0]]
    cache.reorder(mx.repeat(mx.arange(windows), rows // windows))
    for _ in range(steps):
        found.append(block(mx.random.normal((rows, 1, 64)), audio, None, cache)[0])
        cache.reorder(mx.arange(rows)[::-1])
    return [np.array(array) for array in found]


@pytest.mark.parametrize(("windows", "rows"), [(1, 1), (1, 5), (2, 2), (2, 6)])
@pytest.mark.parametrize("quantized", [False, True])
def test_steps_are_mlxs(windows, rows, quantized, monkeypatch):
    mx.random.seed(0)
    block = ResidualAttentionBlock(64, 4, cross_attention=True)
    if quantized:
        block.mlp1 = nn.QuantizedLinear.from_linear(block.mlp1)
    steps = 70 if rows == 1 else 2  # more than there is room for at first
    calls, step = [], decoder_step.block_step
    monkeypatch.setattr(decoder_step, "block_step", lambda *args: (calls.append(1), step(*args))[1])
    ours = outputs(block, windows, rows, steps)
    monkeypatch.setattr(ops, "_kernels", lambda *_: None)
    for one, other in zip(ours, outputs(block, windows, rows, steps), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    assert len(calls) == steps


def test_the_product_with_a_row_and_its_gradients_are_mlxs():
    mx.random.seed(0)
    arrays = mx.random.normal((70, 8)), mx.random.normal((1, 8))

    def value_and_gradients(product):
        return mx.value_and_grad(lambda weight, x: (product(weight, x) ** 2).sum(), argnums=(0, 1))(*arrays)

    value, gradients = value_and_gradients(decoder_step.project)
    expected, expected_gradients = value_and_gradients(lambda weight, x: x @ weight.T)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    for gradient, other in zip(gradients, expected_gradients, strict=True):
        np.testing.assert_allclose(gradient, other, atol=1e-4)
