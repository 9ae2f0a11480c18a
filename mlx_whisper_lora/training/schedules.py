"""Learning rates over a training run."""

from collections.abc import Callable

import mlx.core as mx
import mlx.optimizers as optim

from mlx_whisper_lora.training.options import TrainingOptions


def learning_rate_schedule(options: TrainingOptions) -> Callable[[mx.array], mx.array]:
    """Return the learning rate as a function of the step, for options that `TrainingOptions.resolve` returned.

    It rises linearly over `warmup` steps, the first of which has a rate above 0, and falls along a cosine to a
    hundredth of the largest rate at the last step.
    """
    iters, warmup, rate = options.iters or 1, options.warmup or 0, options.learning_rate
    assert rate is not None
    steps = max(iters - 1 - warmup, 1)
    decay = optim.cosine_decay(rate, steps, rate / 100)
    if warmup == 0:
        return decay
    rise = optim.linear_schedule(rate / (warmup + 1), rate, warmup)
    return optim.join_schedules([rise, decay], [warmup])
