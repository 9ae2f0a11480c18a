"""The gradient of the convolution that halves the rate."""

import mlx.core as mx
import mlx.nn as nn
import numpy as np

from mlx_whisper_lora.whisper.backends.cpu.convolution import halving_convolution


def test_output_and_gradients_are_those_of_mlx():
    x, weight, bias, upstream = (
        mx.random.normal(shape, key=mx.random.key(i))
        for i, shape in enumerate([(2, 10, 6), (4, 3, 6), (4,), (2, 5, 4)])
    )

    def theirs(x, weight, bias):
        layer = nn.Conv1d(6, 4, kernel_size=3, stride=2, padding=1)
        layer.update({"weight": weight, "bias": bias})
        return layer(x)

    outputs, gradients = mx.vjp(halving_convolution, [x, weight, bias], [upstream])
    expected, expected_gradients = mx.vjp(theirs, [x, weight, bias], [upstream])
    assert mx.array_equal(outputs[0], expected[0])
    for gradient, other in zip(gradients, expected_gradients, strict=True):
        np.testing.assert_allclose(gradient, other, atol=1e-5)
