"""A way to adapt a model, as the registry of methods (`methods.py`) has it."""

from random import Random
from typing import Any

import mlx.nn as nn

from mlx_whisper_lora.whisper.model.whisper import Whisper


class Method:
    """A way to adapt a model.

    Attributes:
        Config: a frozen dataclass of settings. They have plain types: bool, int, float, str or tuple[str, ...], or
            one of these and None.
        about: a few words for `--help`.
        prefix: comes before the names of the settings on the command line: with "lora_", `rank` is --lora-rank.
            Methods with the same settings share it.
        learning_rate: the largest learning rate, unless another one is given.
        unfused: why `fuse` cannot replace a module, as the end of a sentence, if that is so.
    """

    Config: Any
    about: str
    prefix: str = ""
    learning_rate: float = 1e-3
    unfused: str = ""

    def wrap(self, model: Whisper, config: Any) -> dict[str, nn.Module]:
        """Return trainable modules by the path that each belongs at. The model stays unchanged.

        A module stands for what is at its path now, holds it if it needs it, and freezes it: everything in the module
        that is not frozen is trained and saved. A path may be a layer, or all of `encoder` or `decoder`.

        Raises:
            AdapterError: the model does not fit the configuration.
        """
        raise NotImplementedError

    def notes(self, model: Whisper, config: Any) -> list[str]:
        """Return sentences for the user, such as one on a setting that the model can follow in part only."""
        if not self.unfused:
            return []
        return [f"fuse cannot merge such an adapter ({self.unfused}); transcribe takes it as it is"]

    def rate_factors(self, config: Any) -> dict[str, float]:
        """Return factors of the learning rate for trained arrays that have their own, by the name of the array."""
        return {}

    def vary(self, model: Whisper, config: Any, random: Random) -> Any:
        """Return other settings, drawn at random for a search. By default, there are no others to try."""
        return config

    def fuse(self, module: nn.Module) -> nn.Module | None:
        """Return a plain module that computes the same as a trained one, or None if there is none."""
        return None
