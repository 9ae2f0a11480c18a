"""Where adapters go in a Whisper model, and what trains."""

import math

import mlx.core as mx
import numpy as np
import pytest
from mlx.utils import tree_flatten

from mlx_whisper_lora.adapters.errors import AdapterError
from mlx_whisper_lora.adapters.inject import adapter_modules, add_adapter, count_parameters, fuse_adapter
from mlx_whisper_lora.adapters.lora import TARGETS, LoRA, LoRAConfig
from mlx_whisper_lora.whisper.model.quantization import Quantization, quantize
from mlx_whisper_lora.whisper.model.whisper import DIMENSIONS, Whisper
from mlx_whisper_lora.whisper.option import OptionError
from tests.support.models import small_model


def adapted(config: LoRAConfig, **changes: int) -> Whisper:
    model = small_model(**changes)
    add_adapter(model, config)
    return model


def test_the_last_blocks_of_encoder_and_decoder_get_adapters():
    model = adapted(LoRAConfig(layers=2, targets=("attn.query", "mlp1")), n_audio_layer=3, n_text_layer=12)
    sides = {"encoder": (1, 2), "decoder": (10, 11)}
    expected = {
        f"{side}.blocks.{block}.{target}"
        for side, blocks in sides.items()
        for block in blocks
        for target in ("attn.query", "mlp1")
    }
    assert adapter_modules(model).keys() == expected


def test_minus_one_is_all_blocks_and_cross_attention_is_the_decoders():
    model = adapted(LoRAConfig(layers=-1, targets=TARGETS), n_audio_layer=3)
    count = {side: sum(path.startswith(side) for path in adapter_modules(model)) for side in ("encoder", "decoder")}
    assert count == {"encoder": 3 * 6, "decoder": 2 * 10}


def test_low_rank_matrices_alone_train():
    model = adapted(LoRAConfig(layers=1, targets=("attn.query", "attn.value")))
    names = {name for name, _ in tree_flatten(model.trainable_parameters())}
    assert names == {
        f"{side}.blocks.1.attn.{target}.{part}"
        for side in ("encoder", "decoder")
        for target in ("query", "value")
        for part in ("lora_a", "lora_b")
    }


def test_adapters_join_the_model_in_its_mode():
    """Dropout in a model that is at rest would make every test of an adapter a lottery."""
    model = small_model()
    for training in (False, True):
        model.train(training)
        add_adapter(model, LoRAConfig(layers=1, dropout=0.5))
        assert {module.dropout.training for module in adapter_modules(model).values()} == {training}
        fuse_adapter(model)
        assert model.encoder.blocks[1].attn.query.training == training


def test_medium_gains_0131_million_on_each_side():
    model = Whisper(DIMENSIONS["medium"])  # arrays are lazy: nothing is allocated
    add_adapter(model, LoRAConfig(rank=8, layers=4, targets=("attn.query", "attn.value")))
    counts = count_parameters(model)
    assert (counts.encoder, counts.decoder) == (131_072, 131_072) and counts.total == 762_584_064


@pytest.mark.parametrize("bits", [4, 8])
def test_each_quantized_weight_counts_as_one_parameter(bits):
    quantized = small_model()
    quantize(quantized, Quantization(32, bits))
    add_adapter(quantized, LoRAConfig(layers=1))
    assert count_parameters(quantized) == count_parameters(adapted(LoRAConfig(layers=1)))


def test_fusing_gives_the_same_logits_and_a_plain_model():
    model = adapted(LoRAConfig(layers=-1, targets=TARGETS))
    for module in adapter_modules(model).values():
        module.lora_b = mx.random.normal(module.lora_b.shape) * 0.1
    mel, tokens = mx.random.normal((1, 100, 80)), mx.array([[50258, 50259, 50359, 50363, 7]])
    base = np.array(small_model()(mel, tokens))
    before = np.array(model(mel, tokens))
    assert fuse_adapter(model) == [] and not adapter_modules(model)
    assert np.abs(before - base).max() > 1e-2
    np.testing.assert_allclose(np.array(model(mel, tokens)), before, atol=1e-4)
    plain = small_model()
    assert [name for name, _ in tree_flatten(model.parameters())] == [
        name for name, _ in tree_flatten(plain.parameters())
    ]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"targets": ("attn.quarry",)}, "targets must be chosen from attn.query, .*mlp2, got attn.quarry"),
        ({"targets": ()}, "got nothing"),
        ({"rank": 0}, "rank must be at least 1, got 0"),
        ({"rank": 10**9}, "rank must be at most 1280, got 1000000000"),
        ({"scale": math.inf}, "scale must be at most 10000.0, got inf"),
        ({"scale": 0.0}, "scale must be above 0"),
        ({"scale": math.nan}, "scale must be a number, got nan"),
        ({"dropout": 1.0}, "dropout must be below 1, got 1.0"),
        ({"scale": 1.0, "alpha": 4.0}, "scale and alpha exclude each other"),
        ({"rank_stabilized": True}, "give alpha"),
        ({"plus_ratio": 0.0}, "plus_ratio must be above 0"),
        ({"layers": 0}, "at least 1, or -1 for all blocks, got 0"),
        ({"layers": -2}, "at least 1, or -1 for all blocks, got -2"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(OptionError, match=message):
        LoRAConfig(**settings)


@pytest.mark.parametrize(
    ("given", "targets"),
    [
        (("q_proj", "fc1"), ("attn.query", "cross_attn.query", "mlp1")),
        (("cross_attn.out", "out_proj"), ("cross_attn.out", "attn.out")),
        (("all-linear",), TARGETS),
    ],
)
def test_pefts_names_of_targets_are_understood(given, targets):
    assert LoRAConfig(targets=given).targets == targets


def test_alpha_is_the_scale_times_the_rank():
    assert LoRAConfig().factor == LoRAConfig(alpha=32).factor == 2.0
    assert LoRAConfig(rank=4, alpha=6, rank_stabilized=True).factor == 3.0


@pytest.mark.parametrize(
    ("layers", "note"),
    [
        (-1, []),
        (2, []),
        (3, ["the decoder has 2 blocks, and 3 were asked for: all of them are adapted"]),
        (9, ["the encoder has 3 blocks and the decoder has 2 blocks, and 9 were asked for: all of them are adapted"]),
    ],
)  # fmt: skip
def test_more_layers_than_blocks_are_as_many_as_there_are_with_a_note(layers, note):
    config = LoRAConfig(layers=layers, targets=("mlp1",))
    model = adapted(config, n_audio_layer=3)
    blocks = {"encoder": 3 if layers == -1 else min(layers, 3), "decoder": 2}
    assert LoRA().notes(model, config) == note
    for side, count in blocks.items():
        assert sum(path.startswith(side) for path in adapter_modules(model)) == count


def test_a_model_is_not_adapted_twice():
    model = adapted(LoRAConfig(layers=1))
    with pytest.raises(AdapterError, match="has an adapter already"):
        add_adapter(model, LoRAConfig(layers=1))
