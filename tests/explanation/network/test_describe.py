"""The description of a network, made from the loaded model."""

import mlx.core as mx
import mlx.nn as nn
import pytest

from mlx_whisper_lora.adapters.bottleneck import BottleneckConfig
from mlx_whisper_lora.adapters.classifier import Classifier
from mlx_whisper_lora.adapters.inject import add_adapter, build_modules, count_parameters, fuse_adapter, put_adapter
from mlx_whisper_lora.adapters.lora import LoRAConfig
from mlx_whisper_lora.adapters.methods import METHODS
from mlx_whisper_lora.adapters.new_language import NewLanguage
from mlx_whisper_lora.adapters.reprogramming import ReprogrammingConfig
from mlx_whisper_lora.adapters.soft_prompt import SoftPromptConfig
from mlx_whisper_lora.explanation.network.describe import describe
from mlx_whisper_lora.explanation.network.part import Part, collapse, places
from mlx_whisper_lora.whisper.checkpoints.load import load_model
from mlx_whisper_lora.whisper.model.quantization import Quantization, parameter_count, quantize
from mlx_whisper_lora.whisper.model.whisper import DIMENSIONS, Whisper
from tests.support.models import small_model

DIVEHI = NewLanguage("dv", "si")


def parts(model: Whisper) -> dict[str, Part]:
    """Return the parts of a model by path. Equal blocks are one."""
    return {place.path: place.part for place in places(collapse(describe(model))) if place.part.name}


def weights(part: Part) -> dict[str, tuple]:
    return {each.name: (each.shape, each.method, each.is_added) for each in part.weights}


@pytest.mark.parametrize(
    ("size", "expected"),
    [("tiny", 37_184_640), ("base", 71_825_920), ("large-v3", 1_541_570_560), ("large-v3-turbo", 806_958_080)],
)
def test_the_parts_of_the_published_sizes_add_up(size, expected):
    """Models of transformers have 1500 positions of the encoder more, which are not weights here."""
    assert describe(Whisper(DIMENSIONS[size])).parameters == expected


def test_shapes_are_those_that_flow_through_the_model(demo_model_folder):
    model = load_model(demo_model_folder, mx.float32)
    network = parts(model)
    window = mx.zeros((1, *network["encoder.log_mel"].output.sizes))
    features = model.encode(window)
    assert features.shape[1:] == network["encoder"].output.sizes
    tokens = mx.zeros((1, *network["decoder.tokens"].output.sizes), mx.int32)
    assert model.decoder(tokens, features).shape[1:] == network["decoder.logits"].output.sizes
    assert str(network["encoder.conv1"].output).startswith("F × D = 3000 × ")


def test_a_plain_model_has_nothing_that_is_trained():
    assert not describe(small_model()).trained


@pytest.mark.parametrize("name", [name for name in METHODS if name != "head"])
def test_each_method_is_described_with_the_numbers_that_it_trains(name):
    model = small_model()
    add_adapter(model, METHODS[name].Config())
    network, counts = describe(model), count_parameters(model)
    assert network.parameters == counts.total
    assert network.trained == {name: counts.encoder + counts.decoder}
    assert [part.trained.total() for part in network.parts] == [counts.encoder, counts.decoder]


@pytest.mark.parametrize("method", ["lora", "head"])
def test_the_head_of_a_classifier_is_described_too(method):
    model, classifier = small_model(), Classifier("attention", ("EGY", "GLF"))
    put_adapter(model, method, build_modules(model, METHODS[method].Config(), None, classifier))
    network, counts = describe(model), count_parameters(model)
    assert network.parameters == counts.total and network.trained == {method: counts.trained}
    assert {part.name: part.trained.total() for part in network.parts}["classifier"] == counts.head > 0


@pytest.mark.parametrize(("dim", "expected"), [(64, 397_440), (128, 791_808), (256, 1_580_544)])
def test_adapters_of_base_have_as_many_parameters_as_published(dim, expected):
    model = Whisper(DIMENSIONS["base"])
    add_adapter(model, BottleneckConfig(dim=dim, decoder_layers=0))
    assert describe(model).trained == {"adapter": expected}
    added = {name for name, (_, _, is_added) in weights(parts(model)["encoder.blocks.0-5.mlp2"]).items() if is_added}
    assert added == {f"{layer}.{array}" for layer in ("down", "norm", "up") for array in ("weight", "bias")}


def test_blocks_are_one_if_they_are_equal_in_all_that_is_shown():
    model = Whisper(DIMENSIONS["large-v3-turbo"])
    assert {"encoder.blocks.0-31", "decoder.blocks.0-3"} < parts(model).keys()
    add_adapter(model, LoRAConfig(layers=3, rank=8))
    network = collapse(describe(model))
    blocks = [(each.path, each.times) for each in places(network) if each.part.kind == "block"]
    assert blocks == [
        ("encoder.blocks.0-28", 29),
        ("encoder.blocks.29-31", 3),
        ("decoder.blocks.0", 1),
        ("decoder.blocks.1-3", 3),
    ]
    assert network.parameters == count_parameters(model).total
    query = weights(parts(model)["encoder.blocks.29-31.attn.query"])
    assert query == {
        "weight": ((1280, 1280), None, False),
        "bias": ((1280,), None, False),
        "lora_a": ((1280, 8), "lora", True),
        "lora_b": ((8, 1280), "lora", True),
    }


def test_a_quantized_base_with_lora_is_described_by_the_shapes_of_its_plain_layers():
    model = Whisper(DIMENSIONS["large-v3"])
    quantize(model, Quantization(64, 4))
    add_adapter(model, LoRAConfig(rank=8))
    network = describe(model)
    assert network.parameters == parameter_count(model)
    assert network.quantizations == {Quantization(64, 4)}
    layer = parts(model)["decoder.blocks.0-31.mlp1"]
    assert (
        weights(layer)["weight"] == ((5120, 1280), None, False) and layer.weights[0].stored == "4 bits in groups of 64"
    )
    assert not parts(model)["encoder.conv1"].quantizations


def test_the_bias_that_dora_holds_beside_its_layer_is_not_an_addition():
    model = small_model()
    add_adapter(model, METHODS["dora"].Config(rank=2))
    query = weights(parts(model)["encoder.blocks.0-1.attn.query"])
    assert query["bias"] == ((64,), None, False) and query["magnitude"] == ((64,), "dora", True)


def test_prompts_and_perturbations_are_parts_where_they_join_the_data():
    model = small_model()
    add_adapter(model, SoftPromptConfig(encoder_length=5, decoder_length=3))
    encoder, decoder = describe(model).parts
    assert [part.title for part in encoder.parts[3:6]] == ["positions", "prompt", "block"]
    assert str(encoder.parts[5].output) == "(N + P) × D = 1505 × 64"
    assert str(decoder.parts[4].output) == "(N + T) × D = 67 × 64"

    model = small_model()
    add_adapter(model, ReprogrammingConfig(adapter_dim=4))
    encoder = describe(model).parts[0]
    assert [part.title for part in encoder.parts[:3]] == ["log-mel", "perturbation", "convolution"]
    assert weights(parts(model)["encoder.blocks.0-1.mlp2"])["down.weight"] == ((4, 64), "reprogram", True)


def test_the_token_of_a_new_language_is_trained_beside_the_adapter():
    model = small_model()
    add_adapter(model, LoRAConfig(rank=2, layers=1, targets=("attn.query",)), DIVEHI)
    embedding = parts(model)["decoder.token_embedding"]
    assert weights(embedding) == {"weight": ((51865, 64), None, False), "row": ((64,), "language dv", True)}
    assert parts(model)["decoder"].output.sizes == (64, 51866)
    assert describe(model).parameters == count_parameters(model).total


def test_a_fused_adapter_is_a_part_of_the_weights():
    model, plain = small_model(), describe(small_model())
    add_adapter(model, LoRAConfig(rank=2))
    fuse_adapter(model)
    assert describe(model) == plain


def test_what_is_fused_beside_what_stays_is_not_trained():
    model = small_model()
    add_adapter(model, BottleneckConfig(dim=4), DIVEHI)
    assert fuse_adapter(model)
    assert set(describe(model).trained) == {"adapter"}
    assert parts(model)["decoder.token_embedding"].weights[0].shape == (51866, 64)


class Gated(nn.Module):
    """A module of a method that is not there: factors of what a module gives."""

    def __init__(self, inner: nn.Module, width: int):
        super().__init__()
        self.before = nn.Linear(width, width, bias=False)
        self.inner = inner
        self.inner.freeze()
        self.gates = [mx.ones((width,)), mx.ones((width,))]


def test_a_method_that_is_not_known_is_described():
    model = small_model()
    total = parameter_count(model)
    block = model.decoder.blocks[1]
    paths = {"decoder.blocks.1.mlp1": block.mlp1, "decoder.blocks.1.attn": block.attn, "decoder.blocks.0": None}
    paths["decoder.blocks.0"] = model.decoder.blocks[0]
    put_adapter(model, "gate", {path: Gated(module, 64) for path, module in paths.items()})
    network, found = describe(model), parts(model)
    assert network.trained == {"gate": 3 * (64 * 64 + 2 * 64)} and network.parameters == total + network.trained.total()
    assert weights(found["decoder.blocks.1.mlp1"]) == {
        "weight": ((256, 64), None, False),
        "bias": ((256,), None, False),
        "before.weight": ((64, 64), "gate", True),
        "gates.0": ((64,), "gate", True),
        "gates.1": ((64,), "gate", True),
    }
    assert found["decoder.blocks.1.attn.gates"].kind == found["decoder.blocks.0.before"].kind == "added"
