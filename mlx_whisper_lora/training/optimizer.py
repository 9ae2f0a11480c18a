"""The optimizer of a training run."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import mlx.core as mx
import mlx.optimizers as optim

from mlx_whisper_lora.training.options import OPTIMIZERS, TrainingOptions
from mlx_whisper_lora.training.schedules import learning_rate_schedule


class _Group(NamedTuple):
    """The arrays that an optimizer updates, by a test of their paths and themselves."""

    takes: Callable[[str, mx.array], bool]
    optimizer: optim.Optimizer


def make_optimizer(options: TrainingOptions, factors: Mapping[str, float]) -> optim.Optimizer:
    """Return the optimizer as the options describe it.

    Args:
        options: how to train, with their numbers of steps.
        factors: factors of the learning rate for arrays with a rate of their own, by the last part of their path. A
            factor scales the weight decay of a step too, as in PyTorch's groups of parameters.
    """
    groups: list[_Group] = []
    for wanted, factor in ((None, 1.0), *factors.items()):  # the rate of the first optimizer is the one reported

        def takes(path: str, array: mx.array, wanted: str | None = wanted) -> bool:
            name = path.rpartition(".")[2]
            return name not in factors if wanted is None else name == wanted

        if options.optimizer == "muon":
            is_matrix = lambda path, array, takes=takes: array.ndim > 1 and takes(path, array)  # noqa: E731
            groups.append(_Group(is_matrix, _make("muon", options, factor)))
            groups.append(_Group(takes, _make("adamw", options, factor / OPTIMIZERS["muon"])))
        else:
            groups.append(_Group(takes, _make(options.optimizer, options, factor)))
    if len(groups) == 1:
        return groups[0].optimizer
    # The last optimizer takes what no test takes.
    return optim.MultiOptimizer([each.optimizer for each in groups], [each.takes for each in groups[:-1]])


def _make(name: str, options: TrainingOptions, factor: float) -> optim.Optimizer:
    """Return an optimizer of MLX, with the learning rate of the options times a factor."""
    schedule, decay = learning_rate_schedule(options), options.weight_decay

    def rate(step: mx.array) -> mx.array:
        return factor * schedule(step)

    if name == "adafactor":  # with a given rate, and not one that it derives from the step and the weights
        return optim.Adafactor(rate, weight_decay=decay, relative_step=False, scale_parameter=False)
    if name == "lion":
        return optim.Lion(rate, weight_decay=decay)
    if name == "muon":
        return optim.Muon(rate, weight_decay=decay)
    return optim.AdamW(rate, weight_decay=decay, bias_correction=True)
