"""Train nothing of the model, and the head of a classifier alone: a probe of what the model knows."""

from dataclasses import dataclass
from typing import Any

import mlx.nn as nn

from mlx_whisper_lora.adapters.method import Method
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.option import documented


@documented
@dataclass(frozen=True)
class HeadAloneConfig:
    """Nothing of the model is trained: there is nothing to choose."""

    def __str__(self) -> str:
        return "the head of a classifier alone"


class HeadAlone(Method):
    """The method "head" of the registry."""

    Config = HeadAloneConfig
    about = "nothing but the head of classify"

    def wrap(self, model: Whisper, config: Any) -> dict[str, nn.Module]:
        """Return no module."""
        return {}
