"""Bottleneck adapters."""

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest
from mlx.utils import tree_flatten

from mlx_whisper_lora.adapters.bottleneck import Bottleneck, BottleneckConfig
from mlx_whisper_lora.adapters.inject import adapter_modules, add_adapter, count_parameters, fuse_adapter
from mlx_whisper_lora.whisper.model.whisper import DIMENSIONS, Whisper
from mlx_whisper_lora.whisper.option import OptionError
from tests.support.models import small_model


@pytest.mark.parametrize(("dim", "expected"), [(64, 397_440), (128, 791_808), (256, 1_580_544)])
def test_the_encoder_of_base_gains_as_many_parameters_as_published(dim, expected):
    model = Whisper(DIMENSIONS["base"])  # arrays are lazy: nothing is allocated
    add_adapter(model, BottleneckConfig(dim=dim, decoder_layers=0))
    counts = count_parameters(model)
    assert (counts.encoder, counts.decoder) == (expected, 0)


def test_they_stand_after_the_chosen_sublayers_of_the_chosen_blocks():
    model = small_model()
    add_adapter(model, BottleneckConfig(layers=1, places=("attn", "cross_attn", "mlp")))
    assert adapter_modules(model).keys() == {
        *(f"encoder.blocks.1.{layer}" for layer in ("attn.out", "mlp2")),
        *(f"decoder.blocks.1.{layer}" for layer in ("attn.out", "cross_attn.out", "mlp2")),
    }
    names = {name.rpartition("mlp2.")[2] for name, _ in tree_flatten(model.trainable_parameters()) if "mlp2" in name}
    assert names == {f"{part}.{array}" for part in ("down", "norm", "up") for array in ("weight", "bias")}


def test_a_fresh_one_changes_nothing_and_a_trained_one_adds_what_the_paper_says():
    mx.random.seed(0)
    linear, x = nn.Linear(16, 24), mx.random.normal((2, 16))
    layer = Bottleneck(linear, 4)
    assert mx.array_equal(layer(x), linear(x))
    layer.up.weight = mx.random.normal((24, 4))
    y = np.array(linear(x))
    inner = np.array(layer.down(mx.array(y)))
    inner = (inner - inner.mean(-1, keepdims=True)) / np.sqrt(inner.var(-1, keepdims=True) + 1e-5)
    inner = np.array(nn.gelu(mx.array(inner)))
    np.testing.assert_allclose(layer(x), y + inner @ np.array(layer.up.weight).T, atol=1e-5)


def test_they_stay_in_the_model():
    model = small_model()
    add_adapter(model, BottleneckConfig(layers=1))
    assert {*fuse_adapter(model)} == {"encoder.blocks.1.mlp2", "decoder.blocks.1.mlp2"}


def test_an_unknown_place_is_refused():
    with pytest.raises(OptionError, match="places must be chosen from attn, cross_attn, mlp, got mlp1"):
        BottleneckConfig(places=("mlp1",))
