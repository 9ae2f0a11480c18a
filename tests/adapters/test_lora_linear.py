"""The LoRA layer, against PEFT's numbers (tools/references/make_lora.py)."""

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest

from mlx_whisper_lora.adapters.lora import LoRALinear
from tests.support.peft_layers import layer_of, reference

either_bias = pytest.mark.parametrize("case", ["bias", "no_bias", "rank_stabilized"])


@either_bias
def test_output_is_pefts(case):
    numbers = reference(case)
    output = layer_of(case)(mx.array(numbers["x"]))
    np.testing.assert_allclose(np.array(output), numbers["output"], atol=1e-5)


@either_bias
def test_fused_layer_is_pefts_merged_one(case):
    numbers = reference(case)
    fused = layer_of(case).fuse()
    assert type(fused) is nn.Linear and ("bias" in fused) == (case != "no_bias")
    np.testing.assert_allclose(np.array(fused.weight), numbers["merged_weight"], atol=1e-5)
    np.testing.assert_allclose(np.array(fused(mx.array(numbers["x"]))), numbers["merged_output"], atol=1e-5)


@either_bias
def test_gradients_are_pefts(case):
    numbers = reference(case)
    layer, x = layer_of(case), mx.array(numbers["x"])
    gradients = nn.value_and_grad(layer, lambda layer: layer(x).square().mean())(layer)[1]
    np.testing.assert_allclose(np.array(gradients["lora_a"]).T, numbers["gradient_a"], atol=1e-5)
    np.testing.assert_allclose(np.array(gradients["lora_b"]).T, numbers["gradient_b"], atol=1e-5)


def test_a_fresh_layer_has_the_output_of_its_base():
    linear, x = nn.Linear(16, 24), mx.random.normal((2, 16))
    layer = LoRALinear.from_base(linear, rank=4)
    assert (layer.lora_a.shape, layer.lora_b.shape) == ((16, 4), (4, 24))
    assert mx.abs(layer.lora_a).max() > 0 and not mx.any(layer.lora_b)
    assert mx.array_equal(layer(x), linear(x)) and mx.array_equal(layer.fuse().weight, linear.weight)


def test_a_quantized_base_stays_as_it_is_until_fused():
    mx.random.seed(0)
    linear, x = nn.Linear(64, 24), mx.random.normal((2, 64))
    quantized = nn.QuantizedLinear.from_linear(linear, group_size=32, bits=4)
    layer = LoRALinear.from_base(quantized, rank=4)
    assert (layer.lora_a.shape, layer.lora_b.shape) == ((64, 4), (4, 24))
    assert mx.array_equal(layer(x), quantized(x))
    layer.lora_b = mx.random.normal((4, 24))
    gradients = nn.value_and_grad(layer, lambda layer: layer(x).square().mean())(layer)[1]
    assert mx.any(gradients["lora_a"]) and mx.any(gradients["lora_b"])
    assert not {"weight", "scales", "biases"} & gradients["linear"].keys()
    fused = layer.fuse()
    assert type(fused) is nn.Linear and fused.weight.dtype == mx.float32
    np.testing.assert_allclose(np.array(fused(x)), np.array(layer(x)), atol=1e-4)


def test_dropout_works_in_training_only():
    mx.random.seed(0)
    linear, x = nn.Linear(16, 24), mx.random.normal((2, 16))
    layer = LoRALinear(linear, mx.random.normal((16, 4)), mx.random.normal((4, 24)), scale=2.0, dropout=0.5)
    layer.train()
    assert not mx.allclose(layer(x), layer(x))
    layer.eval()
    assert mx.array_equal(layer(x), layer(x))


def test_a_float16_base_stays_float16():
    linear = nn.Linear(16, 24)
    linear.set_dtype(mx.float16)
    layer = LoRALinear.from_base(linear)
    assert layer.lora_a.dtype == mx.float32
    assert layer(mx.zeros((1, 16), mx.float16)).dtype == mx.float16 and layer.fuse().weight.dtype == mx.float16
