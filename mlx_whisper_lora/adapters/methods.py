"""The methods of adapting a model, by name.

A new method is a file with a configuration and a module, and an entry in METHODS. The flags of `lora`, the adapter file
and fusing follow from them.
"""

from typing import Any, Protocol

import mlx.nn as nn

from mlx_whisper_lora.adapters.errors import AdapterError
from mlx_whisper_lora.adapters.lora import LoRA
from mlx_whisper_lora.whisper.model.whisper import Whisper


class Method(Protocol):
    """A way to adapt a model.

    Attributes:
        Config: a frozen dataclass of settings. Its `option` fields are the flags of `lora`, after the method's name:
            `rank` of "lora" is --lora-rank. They have plain types: bool, int, float, str or tuple[str, ...], or
            one of these and None.
    """

    Config: Any

    def wrap(self, model: Whisper, config: Any) -> dict[str, nn.Module]:
        """Return trainable modules by the path that each belongs at. The model stays unchanged.

        A module stands for what is at its path now, holds it if it needs it, and freezes it: everything in the module
        that is not frozen is trained and saved. A path may be a layer, or all of `encoder` or `decoder`.

        Raises:
            AdapterError: the model does not fit the configuration.
        """

    def notes(self, model: Whisper, config: Any) -> list[str]:
        """Return sentences for the user about a configuration that the model can follow in part only."""

    def fuse(self, module: nn.Module) -> nn.Module | None:
        """Return a plain module that computes the same as a trained one, or None if there is none."""


METHODS: dict[str, Method] = {"lora": LoRA()}


def method_name(config: Any) -> str:
    """Return the name of the method that a configuration belongs to.

    Raises:
        AdapterError: no method has such a configuration.
    """
    for name, method in METHODS.items():
        if type(config) is method.Config:
            return name
    raise AdapterError(
        f"{type(config).__name__} is not the configuration of a method: choose from {', '.join(METHODS)}"
    )
