"""The result of an evaluation, of whatever a model is trained for."""

import math
from typing import Any

from mlx_whisper_lora.adapters.adapter_file import AdapterConfig


class Result:
    """How well a model does on clips.

    Those who keep the best adapter, print lines and draw curves know no more than this of it.

    Attributes:
        loss: nats per target.
        hypotheses: what the model says of each clip, in the order of the dataset.
    """

    loss: float
    hypotheses: list[str]

    @property
    def numbers(self) -> dict[str, float]:
        """The numbers by name: the loss, and those that people read."""
        raise NotImplementedError

    @property
    def costs(self) -> dict[str, float]:
        """What the best adapter may have the least of, by the names of `best_by`. At equal ones, the first decide."""
        raise NotImplementedError

    def summary(self) -> str:
        """Return the numbers that people read, without the loss: "WER 4.20 %, CER 1.30 %"."""
        raise NotImplementedError

    def describe(self) -> str:
        """Return the same with intervals of 95 %: "WER 4.20 % (2.60 to 6.20), CER 1.30 % (0.80 to 1.90)"."""
        raise NotImplementedError

    def recorded(self, config: AdapterConfig, base: Any) -> AdapterConfig:
        """Return the configuration of an adapter with what its file says of this result.

        Args:
            config: the configuration.
            base: the result of the base, or None.
        """
        raise NotImplementedError

    def order(self, best_by: str) -> list[float]:
        """Return what results are compared by, less for a better one. A number that is not finite is the worst."""
        return [number if math.isfinite(number) else math.inf for number in (self.costs[best_by], *self.costs.values())]
