"""Learning rates over a training run."""

from collections.abc import Callable

import mlx.core as mx
import mlx.optimizers as optim

from mlx_whisper_lora.training.options import TrainingOptions


def learning_rate_schedule(options: TrainingOptions) -> Callable[[mx.array], mx.array]:
    """Return the learning rate as a function of the step, for options that `TrainingOptions.resolve` returned.

    It rises linearly over `warmup` steps, the first of which has a rate above 0. Then it stays, or falls to a hundredth
    of the largest rate at the last step, along a cosine or linearly.
    """
    iters, warmup, rate = options.iters or 1, options.warmup or 0, options.learning_rate
    assert rate is not None
    after = _SHAPES[options.lr_schedule](rate, max(iters - 1 - warmup, 1))
    if warmup == 0:
        return after
    rise = optim.linear_schedule(rate / (warmup + 1), rate, warmup)
    return optim.join_schedules([rise, after], [warmup])


_SHAPES: dict[str, Callable[[float, int], Callable[[mx.array], mx.array]]] = {  # of a rate, over so many steps
    "cosine": lambda rate, steps: optim.cosine_decay(rate, steps, rate / 100),
    "linear": lambda rate, steps: optim.linear_schedule(rate, rate / 100, steps),
    "constant": lambda rate, steps: lambda step: mx.array(rate),
}
