"""Training of all biases, and of nothing else.

Ben Zaken et al., "BitFit: Simple Parameter-efficient Fine-tuning for Transformer-based Masked Language-models" (2022).
The biases are those of linear layers, layer norms and convolutions.
"""

from dataclasses import dataclass

import mlx.core as mx
import mlx.nn as nn

from mlx_whisper_lora.adapters.method import Method
from mlx_whisper_lora.adapters.weights import describe_size
from mlx_whisper_lora.whisper.model.twin import twin
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.option import documented


@documented
@dataclass(frozen=True)
class BitFitConfig:
    """All biases are trained: there is nothing to choose."""

    def __str__(self) -> str:
        return "all biases"


class BitFit(Method):
    """The method "bitfit" of the registry."""

    Config = BitFitConfig
    about = "the biases"
    learning_rate = 1e-2  # few numbers, each of which moves a whole layer: 40 steps on base give 1.50, and 1.64 at 1e-3

    def wrap(self, model: Whisper, config: BitFitConfig) -> dict[str, nn.Module]:
        """Return a copy of each layer with a bias, by module path. The bias is trained, in float32."""
        return {path: _with_trained_bias(module) for path, module in model.named_modules() if "bias" in module}

    def notes(self, model: Whisper, config: BitFitConfig) -> list[str]:
        """Return how much memory and disk the biases take."""
        return [describe_size(model, config)]

    def fuse(self, module: nn.Module) -> nn.Module:
        """Return the layer itself."""
        return module


def _with_trained_bias(layer: nn.Module) -> nn.Module:
    layer = twin(layer)
    layer.bias = layer.bias.astype(mx.float32)
    layer.freeze()
    nn.Module.unfreeze(layer, keys="bias")  # a quantized layer would freeze it again
    return layer
