"""Averages of an adapter's weights over training, which are often better than the weights of any one step."""

import contextlib
from collections import deque
from collections.abc import Iterator, Mapping

import mlx.core as mx
from mlx.utils import tree_flatten, tree_unflatten

from mlx_whisper_lora.training.options import TrainingOptions
from mlx_whisper_lora.whisper.model.whisper import Whisper

Weights = dict[str, mx.array]  # by their paths in the model

_MOVING, _CHECKPOINT = "moving.", "checkpoint."


class Averages:
    """The moving average of the trained weights of a model, and its weights at the last evaluations.

    Args:
        model: the model in training.
        options: say which averages are wanted.
    """

    def __init__(self, model: Whisper, options: TrainingOptions):
        self.model, self.decay = model, options.ema
        self._moving: Weights = self._weights() if options.ema else {}
        self._steps = 0
        self._own: dict | None = None  # the weights in training, while the model has others
        self._checkpoints: deque[Weights] = deque(maxlen=options.average_last or 0)

    def _weights(self) -> Weights:
        return dict(tree_flatten(self.model.trainable_parameters()))

    def add_step(self) -> None:
        """Add the weights after a step to the moving average.

        In the first steps, it forgets faster than by its decay, so that it does not remember the start (as TensorFlow's
        ExponentialMovingAverage with `num_updates`).
        """
        if self.decay is None:
            return
        self._steps += 1
        decay = min(self.decay, (1 + self._steps) / (10 + self._steps))
        self._moving = {
            name: decay * self._moving[name] + (1 - decay) * array.astype(mx.float32)
            for name, array in self._weights().items()
        }
        mx.eval(self._moving)

    @contextlib.contextmanager
    def moving_in_model(self) -> Iterator[None]:
        """Give the model the moving average inside, if there is one, as what is evaluated and saved."""
        with self._in_model(self._moving):
            yield

    def add_checkpoint(self) -> None:
        """Keep the weights of the model as the newest of the last ones."""
        self._checkpoints.append(self._weights())

    @property
    def n_checkpoints(self) -> int:
        """The number of weights that `mean_in_model` averages."""
        return len(self._checkpoints)

    @contextlib.contextmanager
    def mean_in_model(self) -> Iterator[None]:
        """Give the model the mean of the last weights inside."""
        mean = {name: sum(each[name] for each in self._checkpoints) / self.n_checkpoints for name in self._weights()}
        with self._in_model(mean):
            yield

    @contextlib.contextmanager
    def _in_model(self, weights: Weights) -> Iterator[None]:
        self._own = self.model.trainable_parameters()
        try:
            if weights:
                given = [(name, weights[name].astype(array.dtype)) for name, array in tree_flatten(self._own)]
                self.model.update(tree_unflatten(given))
            yield
        finally:
            self.model.update(self._own)
            self._own = None

    @property
    def own(self) -> dict:
        """The weights in training, as a tree, also while the model has others."""
        return self._own or self.model.trainable_parameters()

    @property
    def arrays(self) -> Weights:
        """What `restore` needs, by names of its own."""
        if not self._moving and not self._checkpoints:
            return {}
        arrays = {f"{_MOVING}{name}": array for name, array in self._moving.items()}
        for i, weights in enumerate(self._checkpoints):
            arrays |= {f"{_CHECKPOINT}{i}.{name}": array for name, array in weights.items()}
        return arrays | {"steps": mx.array(self._steps)}

    def restore(self, arrays: Mapping[str, mx.array]) -> None:
        """Go on with the averages of an interrupted run."""
        self._steps = int(arrays["steps"].item()) if arrays else 0
        self._moving = {name.removeprefix(_MOVING): array for name, array in arrays.items() if name.startswith(_MOVING)}
        self._checkpoints.clear()
        while own := {
            name.removeprefix(prefix): array
            for prefix in [f"{_CHECKPOINT}{len(self._checkpoints)}."]
            for name, array in arrays.items()
            if name.startswith(prefix)
        }:
            self._checkpoints.append(own)
