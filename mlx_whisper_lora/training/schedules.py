"""TODO."""

from collections.abc import Callable

import mlx.core as mx
import mlx.optimizers as optim

from mlx_whisper_lora.training.options import TrainingOptions


def learning_rate_schedule(args: TrainingOptions) -> Callable[[mx.array], mx.array]:
    """A linear rise over `warmup` steps, then a cosine down to a hundredth of the learning rate at the last step."""
    decay = optim.cosine_decay(args.learning_rate, max(args.iters - 1 - args.warmup, 1), args.learning_rate / 100)
    if args.warmup == 0:
        return decay
    return optim.join_schedules([optim.linear_schedule(0, args.learning_rate, args.warmup), decay], [args.warmup])
