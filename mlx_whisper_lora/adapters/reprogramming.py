"""A trained change of the input, with the entire model frozen, or with adapters in its encoder.

Neural reprogramming adds one trained perturbation to the log-mel of every window (Yang et al., "Voice2Series:
Reprogramming Acoustic Models for Time Series Classification", 2021; of Whisper, Radhakrishnan et al., "A
Parameter-Efficient Learning Approach to Arabic Dialect Identification with Pre-Trained General-Purpose Speech Model",
2023, alone and with adapters). It starts as normal noise with mean and standard deviation 0.35, so an untrained one is
not the base.
"""

from dataclasses import dataclass

import mlx.core as mx
import mlx.nn as nn

from mlx_whisper_lora.adapters.bottleneck import Bottleneck
from mlx_whisper_lora.adapters.method import Method
from mlx_whisper_lora.whisper.audio.constants import FRAMES_PER_POSITION
from mlx_whisper_lora.whisper.model.twin import twin
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.option import check_ranges, documented, option

_MEAN, _DEVIATION = 0.35, 0.35


@documented
@dataclass(frozen=True)
class ReprogrammingConfig:
    """What is trained beside the perturbation of the log-mel.

    Raises:
        OptionError: a value is out of range.
    """

    adapter_dim: int = option(
        0,
        "Dimensions of adapters after the MLP of each encoder block, which are trained too. 0: none.",
        minimum=0,
        maximum=5120,
    )

    def __post_init__(self):
        check_ranges(self)

    def __str__(self) -> str:
        return "a perturbation of the log-mel" + (f", adapters of {self.adapter_dim}" if self.adapter_dim else "")


class ReprogrammedEncoder(nn.Module):
    """An encoder with a trained perturbation of its input.

    Attributes:
        encoder: the encoder, frozen but for its adapters, if it has some.
        perturbation: what is added to a log-mel of 30 s, shape (F, n_mels). A shorter window has its start.
    """

    def __init__(self, encoder: nn.Module, perturbation: mx.array):
        super().__init__()
        self.encoder = encoder
        self.perturbation = perturbation

    def __call__(self, mel: mx.array, first: int = 0) -> mx.array:
        start = first * FRAMES_PER_POSITION
        change = self.perturbation[start : start + mel.shape[1]]
        return self.encoder(mel + change.astype(mel.dtype), first)


class Reprogramming(Method):
    """The method "reprogram" of the registry."""

    Config = ReprogrammingConfig
    about = "a change of the log-mel"
    prefix = "reprogram_"
    unfused = "it changes the input, and no weight does"

    def wrap(self, model: Whisper, config: ReprogrammingConfig) -> dict[str, nn.Module]:
        """Return the encoder with a fresh perturbation, and with fresh adapters if they are asked for."""
        shape = model.dims.n_audio_ctx * FRAMES_PER_POSITION, model.dims.n_mels
        start = mx.random.normal(shape, loc=_MEAN, scale=_DEVIATION)
        encoder = twin(model.encoder)
        encoder.freeze()
        for block in encoder.blocks if config.adapter_dim else ():
            block.mlp2 = Bottleneck(block.mlp2, config.adapter_dim)
        return {"encoder": ReprogrammedEncoder(encoder, start)}
