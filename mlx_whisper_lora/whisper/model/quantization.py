"""Weights in a few bits: groups of neighboring weights share a scale and a bias (`mlx.core.quantize`).

As in mlx-community's quantized Whisper repositories, every linear layer and the token embedding are quantized, and
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
_BITS = (2, 3, 4, 5, 6, 8)


@dataclass(frozen=True)
class Quantization:
    """The way that weights are quantized.

    Raises:
        ValueError: MLX does not have this group size or number of bits.
    """

    group_size: int = 64  # neighboring weights that share a scale and a bias
    bits: int = 4  # of each weight

    def __post_init__(self):
        if self.group_size not in GROUP_SIZES or self.bits not in _BITS:
            raise ValueError(
                f"quantization takes a group_size out of {GROUP_SIZES} and a number of bits out of {_BITS}, "
                f"got {self.group_size} and {self.bits}"
            )


def quantize(model: Whisper, quantization: Quantization, names: Collection[str] | None = None) -> None:
    """Quantize the linear layers and the token embedding of a plain model, in place.

    Args:
        model: a model without quantized layers.
        quantization: the group size and the number of bits.
        names: names of stored parameters. If given, only layers whose scales are among them are quantized.

    Raises:
        CheckpointError: the group size does not divide the model's width.
    """
    width = model.dims.n_text_state
    if width % quantization.group_size:
        raise CheckpointError(
            f"groups of {quantization.group_size} weights do not divide this model's width of {width}: "
            f"give another group size out of {', '.join(map(str, GROUP_SIZES))}"
        )

    def is_quantized(path: str, module: nn.Module) -> bool:
        return hasattr(module, "to_quantized") and (names is None or f"{path}.scales" in names)

    nn.quantize(model, quantization.group_size, quantization.bits, class_predicate=is_quantized)


def dequantize(model: Whisper) -> None:
    """Replace every quantized layer of `model` by a plain one, in place and in the type of its scales."""
    plain = {
        path: plain_layer(module)
        for path, module in model.named_modules()
        if isinstance(module, nn.QuantizedLinear | nn.QuantizedEmbedding)
    }
    model.update_modules(tree_unflatten(list(plain.items())))


def plain_layer(layer: nn.Module) -> nn.Linear | nn.Embedding:
    """Return a plain layer with the weights of a linear layer or embedding, quantized or not."""
    weight = _full_weight(layer)
    if isinstance(layer, nn.Embedding | nn.QuantizedEmbedding):
        embedding = nn.Embedding(*weight.shape)
        embedding.weight = weight
        return embedding
    linear = nn.Linear(weight.shape[1], weight.shape[0], bias="bias" in layer)
    linear.weight = weight
    if "bias" in layer:
        linear.bias = layer.bias
    return linear


def _full_weight(layer: nn.Module) -> mx.array:
    """Return the weight (outputs, inputs) of a linear layer or embedding, dequantized if need be."""
    if "scales" not in layer:
        return layer.weight
    return mx.dequantize(layer.weight, layer.scales, layer.biases, layer.group_size, layer.bits)


def weight_shape(layer: nn.Module) -> tuple[int, int]:
    """Return the shape (outputs, inputs) of a linear layer's weight, quantized or not."""
    if "scales" not in layer:
        return layer.weight.shape
    return layer.weight.shape[0], layer.scales.shape[1] * layer.group_size


def parameter_count(model: Whisper) -> int:
    """Return the number of weights of `model`. A quantized weight counts as one, without its scale and bias."""
    quantization = quantization_of(model)
    bits = quantization.bits if quantization else 32
    return sum(
        array.size * 32 // bits if array.dtype == mx.uint32 else array.size
        for name, array in tree_flatten(model.parameters())
        if not name.endswith((".scales", ".biases"))
    )


def quantization_of(model: Whisper) -> Quantization | None:
    """Return the way that the layers of `model` are quantized, or None if they are plain."""
    for module in model.modules():
        if isinstance(module, nn.QuantizedLinear | nn.QuantizedEmbedding):
            return Quantization(module.group_size, module.bits)
    return None
