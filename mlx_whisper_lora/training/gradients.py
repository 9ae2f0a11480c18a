"""The gradients of the examples of a step, summed over pieces of them that need a fraction of the memory."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import mlx.core as mx
import mlx.nn as nn
from mlx.utils import tree_map

from mlx_whisper_lora.data.batches import batched
from mlx_whisper_lora.whisper.model.ops import n_side_by_side, side_by_side
from mlx_whisper_lora.whisper.model.twin import twin
from mlx_whisper_lora.whisper.model.whisper import Whisper

_PIECE_FRAMES = 600  # mel frames of a piece, if it has several examples
_PIECE_TARGETS = 128

Sum = tuple[mx.array, dict]  # of the loss, and of its gradients for the trained parameters


class CompiledGradients:
    """Sums the loss of examples, and its gradients for the parameters that are not frozen, in one compiled program.

    Args:
        model: the model.
        collate: makes a batch of examples, with mel frames of the given number.
        loss_function: sums the loss over the targets of a batch.
        batch_size: the most examples that are computed together.
    """

    def __init__(
        self,
        model: Whisper,
        collate: Callable[[list, int], Any],
        loss_function: Callable[[Whisper, Any], mx.array],
        batch_size: int,
    ):
        self.model, self.collate, self.batch_size = model, collate, batch_size
        self._batch_type: Callable = tuple  # `mx.compile` does not keep it
        gradient_of_loss = nn.value_and_grad(
            model, lambda model, fields: loss_function(model, self._batch_type(*fields))
        )
        state = [model.state, mx.random.state]
        self._sum = partial(mx.compile, inputs=state, outputs=state)(lambda fields: gradient_of_loss(model, fields))

    def __call__(self, examples: list, frames: int) -> Sum:
        """Return the sums for examples, which may be none, in windows of `frames` mel frames."""
        sums: list[Sum] = []
        for part in batched(examples, self.batch_size):
            batch = self.collate(part, frames)
            self._batch_type = type(batch)
            sums = [_add_up([*sums, self._sum(list(batch))])]
            if len(part) < len(examples):
                mx.eval(sums)  # before the memory of the next batch is needed
        return sums[0] if sums else _nothing(self.model)


class PiecewiseGradients:
    """Sums the loss of examples, and its gradients for the parameters that are not frozen, on the cores of a CPU.

    The numbers of a small piece stay in the cache, and each core works without waiting for the other ones, also in the
    operations that MLX computes on one core.

    Args:
        model: the model.
        collate: makes a batch of examples, with mel frames of the given number.
        loss_function: sums the loss over the targets of a batch, which are `n_targets` in each example.
    """

    def __init__(
        self,
        model: Whisper,
        collate: Callable[[list, int], Any],
        loss_function: Callable[[Whisper, Any], mx.array],
    ):
        self.model, self.collate, self.loss_function = model, collate, loss_function
        mx.eval(model.parameters())  # an array is computed in the thread that made it
        # `mx.value_and_grad` traces the parameters in the model itself, so each core has a model of its own.
        self.twins = [twin(model) for _ in range(n_side_by_side())]

    def __call__(self, examples: list, frames: int) -> Sum:
        """Return the sums for examples, which may be none, in windows of `frames` mel frames."""
        parameters = self.model.trainable_parameters()
        mx.eval(parameters)
        shares = [examples[i :: len(self.twins)] for i in range(min(len(self.twins), len(examples)))]
        seeds = mx.random.randint(0, 2**31 - 1, (len(shares),)).tolist()  # MLX's random state is one of each thread

        def work(core: int) -> Sum:
            mx.random.seed(seeds[core])
            self.twins[core].update(parameters)
            return self._sum(self.twins[core], shares[core], frames)

        return _add_up(side_by_side(work, range(len(shares))) or [_nothing(self.model)])

    def _sum(self, model: Whisper, examples: list, frames: int) -> Sum:
        """Return the sums for the examples of a core, of one piece after another."""
        gradient_of_loss = nn.value_and_grad(model, self.loss_function)
        longest = max(example.n_targets for example in examples)
        size = max(min(_PIECE_FRAMES // frames, _PIECE_TARGETS // longest), 1)
        sums: list[Sum] = []
        for first in range(0, len(examples), size):
            new = gradient_of_loss(model, self.collate(examples[first : first + size], frames))
            sums = [_add_up([*sums, new])]
            mx.eval(sums)
        return sums[0]


def _nothing(model: Whisper) -> Sum:
    return mx.array(0.0), tree_map(mx.zeros_like, model.trainable_parameters())


def _add_up(sums: Sequence[Sum]) -> Sum:
    return tree_map(lambda *arrays: sum(arrays[1:], start=arrays[0]), *sums)
