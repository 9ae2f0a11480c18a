"""Plain fine-tuning: all weights of the encoder, of the decoder or of both are trained.

The adapter file holds them as they are then. Token embedding and decoder positions are trained too. The encoder's
positions are not, as in transformers.
"""

from dataclasses import dataclass
from typing import Any

import mlx.core as mx
import mlx.nn as nn
from mlx.utils import tree_flatten

from mlx_whisper_lora.adapters.errors import AdapterError
from mlx_whisper_lora.adapters.method import Method
from mlx_whisper_lora.whisper.model.quantization import quantization_of
from mlx_whisper_lora.whisper.model.twin import twin
from mlx_whisper_lora.whisper.model.whisper import AudioEncoder, Whisper
from mlx_whisper_lora.whisper.option import documented

_POSITIONS = "positional_embedding"  # of the encoder, if a checkpoint trained them
_FLOAT32 = 4  # bytes


@documented
@dataclass(frozen=True)
class EncoderConfig:
    """All weights of the encoder are trained: there is nothing to choose."""

    def __str__(self) -> str:
        return "all weights of the encoder"


@documented
@dataclass(frozen=True)
class DecoderConfig:
    """All weights of the decoder are trained: there is nothing to choose."""

    def __str__(self) -> str:
        return "all weights of the decoder"


@documented
@dataclass(frozen=True)
class FullConfig:
    """All weights are trained: there is nothing to choose."""

    def __str__(self) -> str:
        return "all weights"


class Weights(Method):
    """The methods "encoder", "decoder" and "full" of the registry.

    Args:
        config: the configuration of the method.
        about: a few words for `--help`.
        sides: "encoder", "decoder" or both.
    """

    def __init__(self, config: type, about: str, *sides: str):
        self.Config, self.about, self.sides = config, about, sides
        self.learning_rate = 1e-5  # trained weights are large, and a higher rate soon forgets what they know

    def wrap(self, model: Whisper, config: Any) -> dict[str, nn.Module]:
        """Return a copy of each side with all weights in float32, by its path.

        Raises:
            AdapterError: the model is quantized.
        """
        if quantization_of(model):
            raise AdapterError(
                f"{config} cannot be trained in a quantized model: train LoRA or DoRA, or the model that it was made "
                "from"
            )
        return {side: _trained(getattr(model, side)) for side in self.sides}

    def notes(self, model: Whisper, config: Any) -> list[str]:
        """Return how much memory and disk the weights take."""
        return [describe_size(model, config)]

    def fuse(self, module: nn.Module) -> nn.Module:
        """Return the side itself."""
        return module


def describe_size(model: Whisper, config: Any) -> str:
    """Return a sentence on the size of the trained arrays of a model with its adapter."""
    megabytes = sum(array.size for _, array in tree_flatten(model.trainable_parameters())) * _FLOAT32 / 1e6
    return (
        f"{config} are trained: an adapter file takes {megabytes:,.1f} MB, and training {4 * megabytes:,.1f} MB of "
        "memory for them, their gradients and AdamW"
    )


def _trained(side: nn.Module) -> nn.Module:
    side = twin(side)
    side.set_dtype(mx.float32)
    side.unfreeze()
    if isinstance(side, AudioEncoder):
        side.freeze(keys=_POSITIONS, recurse=False)
    return side
