"""Low-rank adaptation of linear layers.

Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models" (2021): y = W x + scale * B A x. W is frozen, A starts
random and B at zero, so that training begins at the base model. In PEFT's terms scale = alpha / rank. The frozen layer
may be quantized (Dettmers et al., "QLoRA", 2023); A and B are not.

A rank-stabilized scale is alpha / sqrt(rank) (Kalajdzievski, "A Rank Stabilization Scaling Factor for Fine-Tuning with
LoRA", 2023). B may learn faster than A (Hayou et al., "LoRA+: Efficient Low Rank Adaptation of Large Models", 2024).
"""

import math
from dataclasses import dataclass, replace
from random import Random

import mlx.core as mx
import mlx.nn as nn

from mlx_whisper_lora.adapters.blocks import BlockChoice
from mlx_whisper_lora.adapters.method import Method
from mlx_whisper_lora.adapters.targets import TARGET_SETS, TARGETS, TARGETS_HELP, resolve_targets
from mlx_whisper_lora.whisper.model.quantization import plain_layer, weight_shape
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.option import OptionError, documented, option

_SCALE = 2.0
_RANKS, _DROPOUTS = (4, 8, 16, 32, 64), (0.0, 0.05, 0.1, 0.2)  # of a search


@documented
@dataclass(frozen=True)
class LoRAConfig(BlockChoice):
    """The layers that get low-rank adapters, and the size of these.

    Raises:
        OptionError: a value is out of range, or a target is unknown.
    """

    rank: int = option(16, "Rank of the low-rank matrices.", minimum=1, maximum=1280)
    scale: float | None = option(
        None,
        "Factor of the low-rank addition: alpha / rank in PEFT.",
        above=0,
        maximum=1e4,
        shown_default=f"{_SCALE:g}, unless `alpha` is given",
        instead_of="alpha",
    )
    dropout: float = option(0.0, "Dropout before the first low-rank matrix.", minimum=0, below=1)
    targets: tuple[str, ...] = option(TARGETS, TARGETS_HELP, shown_default="all")
    alpha: float | None = option(
        None,
        "The scale times the rank, in place of the scale.",
        above=0,
        maximum=1e7,
        shown_default="not used",
        instead_of="scale",
    )
    rank_stabilized: bool = option(
        False, "Divide alpha by the square root of the rank, and not by the rank, as suits large ranks."
    )
    plus_ratio: float | None = option(
        None,
        "Learning rate of the second matrix, as a multiple of that of the first one (LoRA+).",
        above=0,
        maximum=1e4,
        metavar="X",
        shown_default="1",
    )

    def __post_init__(self):
        super().__post_init__()
        if self.scale is not None and self.alpha is not None:
            raise OptionError("`scale` and `alpha` exclude each other: scale is alpha / rank")
        if self.rank_stabilized and self.alpha is None:
            raise OptionError("`rank_stabilized` changes what alpha is divided by: give `alpha`")
        if self.scale is None and self.alpha is None:
            object.__setattr__(self, "scale", _SCALE)
        object.__setattr__(self, "targets", resolve_targets(self.targets))

    @property
    def factor(self) -> float:
        """The factor of the low-rank addition."""
        if self.alpha is None:
            return self.scale or _SCALE
        return self.alpha / (math.sqrt(self.rank) if self.rank_stabilized else self.rank)

    def __str__(self) -> str:
        return f"rank {self.rank}, layers {self.describe_layers()}, targets {', '.join(self.targets)}"


class LoRALinear(nn.Module):
    """A frozen linear layer with a trainable low-rank addition.

    Attributes:
        linear: the frozen layer, plain or quantized.
        lora_a: matrix A, shape (input dimensions, rank).
        lora_b: matrix B, shape (rank, output dimensions).
        scale: factor of the addition.
        dropout: dropout of the input of A. It acts in training only.
    """

    @classmethod
    def from_base(
        cls, linear: nn.Linear | nn.QuantizedLinear, rank: int = 8, scale: float = 2.0, dropout: float = 0.0
    ) -> "LoRALinear":
        """Wrap a linear layer in a new low-rank addition that starts at zero."""
        output_dims, input_dims = weight_shape(linear)
        lora_a = mx.random.uniform(-1, 1, (input_dims, rank)) / math.sqrt(input_dims)
        return cls(linear, lora_a, mx.zeros((rank, output_dims)), scale, dropout)

    def __init__(
        self,
        linear: nn.Linear | nn.QuantizedLinear,
        lora_a: mx.array,
        lora_b: mx.array,
        scale: float,
        dropout: float,
    ):
        super().__init__()
        self.linear = linear
        self.linear.freeze()
        self.lora_a = lora_a
        self.lora_b = lora_b
        self.scale = scale
        self.dropout = nn.Dropout(dropout)

    def __call__(self, x: mx.array) -> mx.array:
        low_rank = (self.dropout(x) @ self.lora_a) @ self.lora_b
        return self.linear(x) + (self.scale * low_rank).astype(x.dtype)

    def fuse(self) -> nn.Linear:
        """Return a plain linear layer with the addition merged into its weight, computed in float32."""
        fused = plain_layer(self.linear)
        fused.weight = self.merged(fused.weight).astype(fused.weight.dtype)
        return fused

    def merged(self, weight: mx.array) -> mx.array:
        """Return a weight (output dimensions, input dimensions) with the addition, in float32."""
        return weight.astype(mx.float32) + self.scale * (
            self.lora_b.T.astype(mx.float32) @ self.lora_a.T.astype(mx.float32)
        )


class LoRA(Method):
    """The method "lora" of the registry."""

    Config: type[LoRAConfig] = LoRAConfig
    Layer: type[LoRALinear] = LoRALinear
    about = "low-rank matrices beside linear layers"
    prefix = "lora_"

    def wrap(self, model: Whisper, config: LoRAConfig) -> dict[str, nn.Module]:
        """Return a fresh layer for each target of the model, by module path."""
        modules = dict(model.named_modules())
        return {
            path: self.Layer.from_base(modules[path], config.rank, config.factor, config.dropout)
            for path in config.paths(model, config.targets)
        }

    def notes(self, model: Whisper, config: LoRAConfig) -> list[str]:
        """Return a line for a model that has fewer blocks than `config.layers`."""
        return config.notes(model)

    def rate_factors(self, config: LoRAConfig) -> dict[str, float]:
        """Return the factor for matrix B, if it has one."""
        return {"lora_b": config.plus_ratio} if config.plus_ratio else {}

    def vary(self, model: Whisper, config: LoRAConfig, random: Random) -> LoRAConfig:
        """Return settings with other layers, rank and dropout, drawn at random. The scale stays."""
        return replace(
            config,
            rank=random.choice(_RANKS),
            dropout=random.choice(_DROPOUTS),
            targets=random.choice(TARGET_SETS),
            encoder_layers=random.choice((config.encoder_layers, max(model.dims.n_audio_layer // 2, 1), 0)),
            decoder_layers=random.choice((config.decoder_layers, max(model.dims.n_text_layer // 2, 1))),
        )

    def fuse(self, module: nn.Module) -> nn.Linear:
        """Return the plain linear layer that a trained one can be replaced by."""
        return module.fuse()
