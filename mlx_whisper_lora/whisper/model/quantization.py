"""Weights in 4 or 8 bits: groups of neighbours share a scale and a bias (`mlx.core.quantize`).

As in mlx-community's quantised Whisper repositories, every linear layer and the token embedding are quantised, and
convolutions, layer norms and position embeddings are not.
"""

from collections.abc import Collection
from dataclasses import dataclass

import mlx.core as mx
import mlx.nn as nn
from mlx.utils import tree_flatten, tree_unflatten

from mlx_whisper_lora.whisper.errors import CheckpointError
from mlx_whisper_lora.whisper.model.whisper import Whisper

GROUP_SIZES = (32, 64, 128)
BITS = (2, 3, 4, 5, 6, 8)


@dataclass(frozen=True)
class Quantization:
    """group_size: neighbouring weights that share a scale; bits: of a weight. ValueError for what MLX does not have."""

    group_size: int = 64
    bits: int = 4

    def __post_init__(self):
        if self.group_size not in GROUP_SIZES or self.bits not in BITS:
            raise ValueError(f"weights are quantised in groups of {GROUP_SIZES} with {BITS} bits, not {self}")


def quantize(model: Whisper, quantization: Quantization, names: Collection[str] | None = None) -> None:
    """Quantise the linear layers and the embedding of a plain `model`, in place; with `names` of parameters, only
    layers whose scales are among them. Raises CheckpointError when the groups do not fit the model's width."""
    width = model.dims.n_text_state
    if width % quantization.group_size:
        raise CheckpointError(
            f"quantisation in groups of {quantization.group_size} needs a width that this divides, and this model is "
            f"{width} wide: give another group size out of {', '.join(map(str, GROUP_SIZES))}"
        )
    nn.quantize(
        model, quantization.group_size, quantization.bits,
        class_predicate=lambda path, module: hasattr(module, "to_quantized")
        and (names is None or f"{path}.scales" in names),
    )  # fmt: skip


def dequantize(model: Whisper) -> None:
    """Make every quantised layer of `model` a plain one, in place and in the type of its scales."""
    plain = {
        path: plain_layer(module)
        for path, module in model.named_modules()
        if isinstance(module, nn.QuantizedLinear | nn.QuantizedEmbedding)
    }
    model.update_modules(tree_unflatten(list(plain.items())))


def plain_layer(layer: nn.Module) -> nn.Linear | nn.Embedding:
    """A plain layer with the weights of a linear layer or embedding, quantised or not."""
    weight = full_weight(layer)
    if isinstance(layer, nn.QuantizedEmbedding):
        embedding = nn.Embedding(*weight.shape)
        embedding.weight = weight
        return embedding
    linear = nn.Linear(weight.shape[1], weight.shape[0], bias="bias" in layer)
    linear.weight = weight
    if "bias" in layer:
        linear.bias = layer.bias
    return linear


def full_weight(layer: nn.Module) -> mx.array:
    """The weight (outputs, inputs) of a linear layer or embedding, quantised or not, as an array of its numbers."""
    if "scales" not in layer:
        return layer.weight
    return mx.dequantize(layer.weight, layer.scales, layer.biases, layer.group_size, layer.bits)


def weight_shape(layer: nn.Module) -> tuple[int, int]:
    """The shape (outputs, inputs) of a linear layer's weight, quantised or not."""
    if "scales" not in layer:
        return layer.weight.shape
    return layer.weight.shape[0], layer.scales.shape[1] * layer.group_size


def parameter_count(model: Whisper) -> int:
    """How many numbers the weights of `model` are, however they are stored."""
    quantization = quantization_of(model)
    bits = quantization.bits if quantization else 32
    return sum(
        array.size * 32 // bits if array.dtype == mx.uint32 else array.size
        for name, array in tree_flatten(model.parameters())
        if not name.endswith((".scales", ".biases"))
    )


def quantization_of(model: Whisper) -> Quantization | None:
    """How the layers of `model` are quantised; None of a plain model."""
    for module in model.modules():
        if isinstance(module, nn.QuantizedLinear | nn.QuantizedEmbedding):
            return Quantization(module.group_size, module.bits)
    return None
