"""Low-rank adaptation of linear layers.

Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models" (2021): y = W x + scale * B A x. W is frozen, A starts
random and B at zero, so that training begins at the base model. In PEFT's terms scale = alpha / rank. The frozen layer
may be quantized (Dettmers et al., "QLoRA", 2023); A and B are not.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import mlx.core as mx
import mlx.nn as nn

from mlx_whisper_lora.whisper.model.quantization import plain_layer, weight_shape
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.option import OptionError, check_ranges, documented, option

_ATTENTION = ("query", "key", "value", "out")
TARGETS = (
    *(f"attn.{name}" for name in _ATTENTION),
    *(f"cross_attn.{name}" for name in _ATTENTION),  # decoder only
    "mlp1",
    "mlp2",
)


@documented
@dataclass(frozen=True)
class LoRAConfig:
    """The layers that get low-rank adapters, and the size of these.

    Raises:
        OptionError: a value is out of range, or a target is unknown.
    """

    rank: int = option(16, "Rank of the low-rank matrices.", minimum=1, maximum=1280)
    scale: float = option(2.0, "Factor of the low-rank addition: alpha / rank in PEFT.", above=0, maximum=1e4)
    dropout: float = option(0.0, "Dropout before the first low-rank matrix.", minimum=0, below=1)
    layers: int = option(
        -1, "Adapt the last N blocks of the encoder and of the decoder, or as many as there are. -1 adapts all."
    )
    targets: tuple[str, ...] = option(
        TARGETS,
        f"Layers to adapt in each block, separated by commas. Choose from {', '.join(TARGETS)}.",
        shown_default="all",
    )
    encoder_layers: int | None = option(
        None, "Adapt the last N blocks of the encoder. 0 adapts none, -1 all.", shown_default="as --lora-layers"
    )
    decoder_layers: int | None = option(
        None, "Adapt the last N blocks of the decoder. 0 adapts none, -1 all.", shown_default="as --lora-layers"
    )

    def __post_init__(self):
        check_ranges(self)
        if self.layers < 1 and self.layers != -1:
            raise OptionError(f"`layers` must be at least 1, or -1 for all blocks, got {self.layers}")
        for name in ("encoder_layers", "decoder_layers"):
            count = getattr(self, name)
            if count is not None and count < -1:
                raise OptionError(f"`{name}` must be at least 0, or -1 for all blocks, got {count}")
        if self.blocks("encoder", 1) + self.blocks("decoder", 1) == 0:
            raise OptionError("`encoder_layers` and `decoder_layers` are both 0: there is nothing to adapt")
        unknown = [target for target in self.targets if target not in TARGETS]
        if unknown or not self.targets:
            raise OptionError(
                f"`targets` must be chosen from {', '.join(TARGETS)}, got {', '.join(unknown) or 'nothing'}"
            )

    def blocks(self, side: str, count: int) -> int:
        """Return how many of the `count` blocks of a side, "encoder" or "decoder", are adapted."""
        given = {"encoder": self.encoder_layers, "decoder": self.decoder_layers}[side]
        wanted = self.layers if given is None else given
        return count if wanted == -1 else min(wanted, count)

    def __str__(self) -> str:
        sides = [
            f"{side} {given}"
            for side in ("encoder", "decoder")
            if (given := getattr(self, f"{side}_layers")) is not None
        ]
        layers = f"{self.layers} ({', '.join(sides)})" if sides else self.layers
        return f"rank {self.rank}, layers {layers}, targets {', '.join(self.targets)}"


class LoRALinear(nn.Module):
    """A frozen linear layer with a trainable low-rank addition.

    Attributes:
        linear: the frozen layer, plain or quantized.
        lora_a: matrix A, shape (input dimensions, rank).
        lora_b: matrix B, shape (rank, output dimensions).
        scale: factor of the addition.
        dropout: dropout of the input of A. It acts in training only.
    """

    @staticmethod
    def from_base(
        linear: nn.Linear | nn.QuantizedLinear, rank: int = 8, scale: float = 2.0, dropout: float = 0.0
    ) -> "LoRALinear":
        """Wrap a linear layer in a new low-rank addition that starts at zero."""
        output_dims, input_dims = weight_shape(linear)
        lora_a = mx.random.uniform(-1, 1, (input_dims, rank)) / math.sqrt(input_dims)
        return LoRALinear(linear, lora_a, mx.zeros((rank, output_dims)), scale, dropout)

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
        delta = self.scale * (self.lora_b.T.astype(mx.float32) @ self.lora_a.T.astype(mx.float32))
        fused.weight = (fused.weight.astype(mx.float32) + delta).astype(fused.weight.dtype)
        return fused


class LoRA:
    """The method "lora" of the registry."""

    Config = LoRAConfig

    @staticmethod
    def wrap(model: Whisper, config: LoRAConfig) -> dict[str, nn.Module]:
        """Return a fresh LoRALinear for each target of the model, by module path."""
        modules = dict(model.named_modules())
        return {
            path: LoRALinear.from_base(modules[path], config.rank, config.scale, config.dropout)
            for path in _target_paths(model, config)
        }

    @staticmethod
    def notes(model: Whisper, config: LoRAConfig) -> list[str]:
        """Return a line for a model that has fewer blocks than `config.layers`."""
        counts = {"encoder": model.dims.n_audio_layer, "decoder": model.dims.n_text_layer}
        few = [f"the {side} has {count} blocks" for side, count in counts.items() if count < config.layers]
        return [f"{' and '.join(few)}, and {config.layers} were asked for: all of them are adapted"] if few else []

    @staticmethod
    def fuse(module: nn.Module) -> nn.Linear:
        """Return the plain linear layer that a LoRALinear can be replaced by."""
        return module.fuse()


def _target_paths(model: Whisper, config: LoRAConfig) -> Iterator[str]:
    """Yield the paths of the layers to adapt, such as decoder.blocks.3.attn.query."""
    for side, part in (("encoder", model.encoder), ("decoder", model.decoder)):
        count = len(part.blocks)
        for i in range(config.blocks(side, count)):
            block = count - 1 - i
            for target in config.targets:
                if side == "decoder" or not target.startswith("cross_attn"):
                    yield f"{side}.blocks.{block}.{target}"
