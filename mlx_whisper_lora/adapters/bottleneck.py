"""Small networks after the attention or the MLP of a block.

Houlsby et al., "Parameter-Efficient Transfer Learning for NLP" (2019): the output of a sublayer passes through a
projection to a few dimensions, a GELU and a projection back, and is added to what came out of that. The second
projection starts at zero, so that training begins at the base model. A LayerNorm of the few dimensions comes before the
GELU. By default each block has one adapter, after its MLP (Pfeiffer et al., "AdapterFusion", 2021). In the encoder of
whisper-base, these have the published numbers of parameters for dialect identification with adapters of Whisper:
397,440 with 64 dimensions, 791,808 with 128 and 1,580,544 with 256.
"""

from dataclasses import dataclass

import mlx.core as mx
import mlx.nn as nn

from mlx_whisper_lora.adapters.blocks import BlockChoice
from mlx_whisper_lora.adapters.method import Method
from mlx_whisper_lora.whisper.model.ops import gelu
from mlx_whisper_lora.whisper.model.quantization import weight_shape
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.option import OptionError, documented, option

# The last layer of each sublayer of a block.
_LAST_LAYERS = {"attn": "attn.out", "cross_attn": "cross_attn.out", "mlp": "mlp2"}


@documented
@dataclass(frozen=True)
class BottleneckConfig(BlockChoice):
    """The blocks and the sublayers that get adapters, and the size of these.

    Raises:
        OptionError: a value is out of range, or a sublayer is unknown.
    """

    dim: int = option(64, "Dimensions that an adapter projects to.", minimum=1, maximum=5120)
    places: tuple[str, ...] = option(
        ("mlp",),
        f"Sublayers with an adapter after them, separated by commas. Choose from {', '.join(_LAST_LAYERS)}. Houlsby's "
        "adapters are after attn and mlp.",
    )

    def __post_init__(self):
        super().__post_init__()
        unknown = [place for place in self.places if place not in _LAST_LAYERS]
        if unknown or not self.places:
            raise OptionError(
                f"`places` must be chosen from {', '.join(_LAST_LAYERS)}, got {', '.join(unknown) or 'nothing'}"
            )

    def __str__(self) -> str:
        return f"dimensions {self.dim}, layers {self.describe_layers()}, after {', '.join(self.places)}"


class Bottleneck(nn.Module):
    """A frozen linear layer with an adapter after it.

    Attributes:
        linear: the frozen layer, plain or quantized, whose output has D dimensions.
        down: projects to the few dimensions.
        norm: the LayerNorm before the GELU.
        up: projects back, and starts at zero.
    """

    def __init__(self, linear: nn.Linear | nn.QuantizedLinear, dim: int):
        super().__init__()
        width = weight_shape(linear)[0]
        self.linear = linear
        self.linear.freeze()
        self.down = nn.Linear(width, dim)
        self.norm = nn.LayerNorm(dim)
        self.up = nn.Linear(dim, width)
        self.up.weight, self.up.bias = mx.zeros((width, dim)), mx.zeros((width,))

    def __call__(self, x: mx.array) -> mx.array:
        y = self.linear(x)
        return y + self.up(gelu(self.norm(self.down(y)))).astype(y.dtype)


class Adapters(Method):
    """The method "adapter" of the registry."""

    Config = BottleneckConfig
    about = "small networks between the layers"
    prefix = "adapter_"
    unfused = "no linear layer computes the GELU in it"

    def wrap(self, model: Whisper, config: BottleneckConfig) -> dict[str, nn.Module]:
        """Return a fresh Bottleneck for the last layer of each chosen sublayer, by module path."""
        modules = dict(model.named_modules())
        layers = tuple(_LAST_LAYERS[place] for place in config.places)
        return {path: Bottleneck(modules[path], config.dim) for path in config.paths(model, layers)}

    def notes(self, model: Whisper, config: BottleneckConfig) -> list[str]:
        """Return what `BlockChoice.notes` does, and that the adapter stays one."""
        return [*config.notes(model), *super().notes(model, config)]
