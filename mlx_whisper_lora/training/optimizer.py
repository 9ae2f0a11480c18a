"""The optimizer of a training run."""

from collections.abc import Callable, Mapping

import mlx.core as mx
import mlx.optimizers as optim

from mlx_whisper_lora.training.options import TrainingOptions
from mlx_whisper_lora.training.schedules import learning_rate_schedule


def make_optimizer(options: TrainingOptions, factors: Mapping[str, float]) -> optim.Optimizer:
    """Return AdamW as the options describe it.

    Args:
        options: how to train, with their numbers of steps.
        factors: factors of the learning rate for arrays with a rate of their own, by the last part of their path. A
            factor scales the weight decay of a step too, as in PyTorch's groups of parameters.
    """
    schedule = learning_rate_schedule(options)

    def adamw(factor: float) -> optim.AdamW:
        return optim.AdamW(
            lambda step: factor * schedule(step), weight_decay=options.weight_decay, bias_correction=True
        )

    if not factors:
        return adamw(1.0)

    def named(wanted: str) -> Callable[[str, mx.array], bool]:
        return lambda path, _: path.rpartition(".")[2] == wanted

    def is_other(path: str, _: mx.array) -> bool:
        return path.rpartition(".")[2] not in factors

    *first, last = factors  # the last optimizer takes what no filter takes; the first one's rate is reported
    optimizers = [adamw(1.0), *(adamw(factors[name]) for name in (*first, last))]
    return optim.MultiOptimizer(optimizers, [is_other, *map(named, first)])
