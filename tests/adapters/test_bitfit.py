"""Training of the biases alone."""

import mlx.core as mx
import mlx.nn as nn
import pytest
from mlx.utils import tree_flatten

from mlx_whisper_lora.adapters.bitfit import BitFit, BitFitConfig
from mlx_whisper_lora.adapters.inject import add_adapter, fuse_adapter
from mlx_whisper_lora.whisper.model.quantization import Quantization, quantize
from tests.support.models import small_model


@pytest.mark.parametrize("bits", [None, 4])
def test_every_bias_is_trained_and_nothing_else(bits):
    model = small_model()
    if bits:
        quantize(model, Quantization(32, bits))
    expected = {name for name, _ in tree_flatten(model.parameters()) if name.endswith(".bias")}
    add_adapter(model, BitFitConfig())
    mel, tokens = mx.random.normal((1, 100, 80)), mx.array([[50258, 50259]])
    gradients = tree_flatten(nn.value_and_grad(model, lambda model: model(mel, tokens).square().mean())(model)[1])
    # Convolutions 2, norms 2 * 2 + 1 and 2 * 3 + 1, and of each block 5 linear layers, in the decoder 8.
    assert {name for name, _ in gradients} == expected and len(expected) == 2 + 5 + 7 + 2 * 5 + 2 * 8
    assert all(mx.any(array).item() for _, array in gradients)


def test_a_base_in_float16_is_trained_in_float32_and_fused_into_float16():
    model = small_model()
    model.set_dtype(mx.float16)
    add_adapter(model, BitFitConfig())
    assert {array.dtype for _, array in tree_flatten(model.trainable_parameters())} == {mx.float32}
    assert fuse_adapter(model) == []
    assert {array.dtype for _, array in tree_flatten(model.parameters())} == {mx.float16}


def test_the_size_is_noted():
    model = small_model()
    add_adapter(model, BitFitConfig())
    (note,) = BitFit().notes(model, BitFitConfig())
    assert note.startswith("all biases are trained: an adapter file takes 0.0 MB")
