"""The models of the page: a base, and if there is an adapter, the base with it at any strength."""

import mlx.core as mx

from mlx_whisper_lora.adapters.adapter_file import Adapter
from mlx_whisper_lora.adapters.strength import load_fused
from mlx_whisper_lora.whisper.model.twin import twin
from mlx_whisper_lora.whisper.model.whisper import Whisper


class StudioModels:
    """A base, and the same with an adapter. Weights that the adapter does not change are in memory once.

    Args:
        name: the name that the base was loaded by.
        base: a plain model.
        adapter: an adapter that was trained on it, or None.
        strength: the share of the adapter's change of the base, as for `load_fused`, until another one is asked for.

    Attributes:
        takes_strength: whether the adapter can have another strength than 1.

    Raises:
        AdapterError: the adapter belongs to another base, or has no other strength than 1.
    """

    def __init__(self, name: str, base: Whisper, adapter: Adapter | None = None, strength: float = 1.0):
        self.name, self.base, self.adapter, self.strength = name, base, adapter, strength
        base.default_language = None  # the page asks for a language, or for its detection
        mx.eval(base.parameters())  # in the thread that made them; others compute with them
        self.takes_strength = False
        self._adapted: Whisper | None = None
        if adapter:
            self.takes_strength = not self._adapt(strength)

    def at_strength(self, strength: float) -> list[Whisper]:
        """Return the models to compare: the base and, if there is an adapter, the base with it at a strength."""
        if self.adapter and strength != self.strength:
            self._adapt(strength)
        return [self.base, self._adapted] if self._adapted else [self.base]

    def language_for(self, model: Whisper, code: str | None) -> str | None:
        """Return the language that a model takes for one that was chosen.

        The base does not know a language that came with the adapter, and takes the one that its token started from.
        """
        new = self.adapter.config.new_language if self.adapter else None
        return new.near if new and model is self.base and code == new.code else code

    @property
    def best(self) -> Whisper:
        """The model with the adapter, if there is one, and else the base."""
        return self._adapted or self.base

    @property
    def languages(self) -> tuple[str, ...]:
        """The codes of the languages that can be chosen. An English-only model has none."""
        return self.best.vocabulary.languages if self.best.is_multilingual else ()

    def _adapt(self, strength: float) -> list[str]:
        """Put the adapter into a copy of the base. Return the modules that cannot be merged into it."""
        assert self.adapter
        model = twin(self.base)
        left = load_fused(model, self.adapter, self.name, strength)
        model.set_dtype(self.base.dtype)
        model.default_language = None
        mx.eval(model.parameters())
        self._adapted, self.strength = model, strength
        return left
