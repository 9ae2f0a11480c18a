"""DoRA, against PEFT's numbers (tools/references/make_lora.py)."""

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest
from mlx.utils import tree_flatten

from mlx_whisper_lora.adapters.dora import DoRAConfig, DoRALinear
from mlx_whisper_lora.adapters.inject import adapter_modules, add_adapter, fuse_adapter
from mlx_whisper_lora.whisper.model.quantization import Quantization, quantize
from tests.support.models import small_model
from tests.support.peft_layers import layer_of, reference

either_bias = pytest.mark.parametrize("case", ["dora_bias", "dora_no_bias"])


def trained_layer(case: str) -> DoRALinear:
    layer = layer_of(case)
    layer.magnitude = mx.array(reference(case)["magnitude"])
    return layer


@either_bias
def test_output_magnitudes_and_fused_layer_are_pefts(case):
    numbers, layer = reference(case), trained_layer(case)
    x = mx.array(numbers["x"])
    np.testing.assert_allclose(layer(x), numbers["output"], atol=1e-5)
    layer.eval()
    np.testing.assert_allclose(layer(x), numbers["output"], atol=1e-5)
    fused = layer.fuse()
    assert type(fused) is nn.Linear and ("bias" in fused) == ("bias" in numbers)
    np.testing.assert_allclose(fused.weight, numbers["merged_weight"], atol=1e-5)
    np.testing.assert_allclose(fused(x), numbers["merged_output"], atol=1e-5)


@either_bias
def test_gradients_are_pefts(case):
    numbers, layer = reference(case), trained_layer(case)
    x = mx.array(numbers["x"])
    gradients = dict(tree_flatten(nn.value_and_grad(layer, lambda layer: layer(x).square().mean())(layer)[1]))
    assert gradients.keys() == {"lora_a", "lora_b", "magnitude"}
    np.testing.assert_allclose(gradients["lora_a"].T, numbers["gradient_a"], atol=1e-5)
    np.testing.assert_allclose(gradients["lora_b"].T, numbers["gradient_b"], atol=1e-5)
    np.testing.assert_allclose(gradients["magnitude"], numbers["gradient_magnitude"], atol=1e-5)


def test_norms_that_are_kept_follow_the_matrices():
    layer, x = trained_layer("dora_bias"), mx.array(reference("dora_bias")["x"])
    layer.eval()
    layer(x)
    layer.lora_b = layer.lora_b * 3
    np.testing.assert_allclose(layer(x), layer.fuse()(x), atol=1e-5)
    layer.train()
    expected = layer(x)
    layer.eval()
    np.testing.assert_allclose(layer(x), expected, atol=1e-5)


def test_a_row_of_zeros_stays_one():
    linear, x = nn.Linear(8, 4), mx.ones((1, 8))
    linear.weight[2] = 0
    np.testing.assert_allclose(DoRALinear.from_base(linear)(x), linear(x), atol=1e-6)


@pytest.mark.parametrize("bits", [None, 4])
def test_a_float16_base_stays_float16_and_its_norms_are_float32(bits):
    linear, x = nn.Linear(64, 24), mx.random.normal((2, 64)).astype(mx.float16)
    linear.set_dtype(mx.float16)
    if bits:
        linear = nn.QuantizedLinear.from_linear(linear, group_size=32, bits=bits)
    layer = DoRALinear.from_base(linear)
    assert layer(x).dtype == layer.fuse().weight.dtype == mx.float16
    assert layer.magnitude.dtype == layer.lora_a.dtype == mx.float32
    np.testing.assert_allclose(layer(x), linear(x), atol=5e-3)


@pytest.mark.parametrize("bits", [None, 8, 4])
def test_a_model_starts_as_its_base_and_is_fused_exactly(bits):
    model, base = small_model(), small_model()
    for each in (model, base) if bits else ():
        quantize(each, Quantization(32, bits))
    mel, tokens = mx.random.normal((1, 100, 80)), mx.array([[50258, 50259, 50359, 50363, 7]])
    add_adapter(model, DoRAConfig(rank=4))
    np.testing.assert_allclose(model(mel, tokens), base(mel, tokens), atol=1e-4)
    mx.random.seed(0)
    for module in adapter_modules(model).values():
        module.lora_b = mx.random.normal(module.lora_b.shape) * 0.05
        module.magnitude = module.magnitude * mx.random.uniform(0.9, 1.1, module.magnitude.shape)
    before = np.array(model(mel, tokens))
    assert np.abs(before - np.array(base(mel, tokens))).max() > 0.1
    assert fuse_adapter(model) == []
    np.testing.assert_allclose(model(mel, tokens), before, atol=1e-3)
