"""The training loop."""

import math
import time
from collections.abc import Callable, Sequence

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_map
from tqdm import tqdm

from mlx_whisper_lora.data.batches import Batch, iterate_batches, longest_frames, make_batch
from mlx_whisper_lora.data.dataset import Example
from mlx_whisper_lora.data.features import context_frames
from mlx_whisper_lora.training.loss import cross_entropy_loss
from mlx_whisper_lora.training.options import TrainingOptions
from mlx_whisper_lora.training.schedules import learning_rate_schedule
from mlx_whisper_lora.whisper.model.ops import limit_blas_threads
from mlx_whisper_lora.whisper.model.whisper import Whisper


def train(
    model: Whisper,
    dataset: Sequence[Example],
    args: TrainingOptions,
    on_evaluate: Callable[[int], None],
    print_line: Callable[[str], None] = tqdm.write,
    collate: Callable[[list, int | None], Batch] = make_batch,
    loss_function: Callable[[Whisper, Batch], mx.array] = cross_entropy_loss,
) -> None:
    """Train the model's unfrozen parameters on `dataset` for `args.iters` steps.

    Started by `mlx.launch -n N`, each process computes its part of every batch, and the first one reports and saves.
    `on_evaluate(iteration)` is called every `steps_per_eval` steps and after the last one, to evaluate and save.
    `collate` makes a batch of examples, `loss_function` sums the loss over a batch's label tokens.
    Raises ValueError when there are no examples, or fewer in a batch than processes, and FloatingPointError when the
    loss is no longer finite.
    """
    world = mx.distributed.init()
    if not len(dataset):
        raise ValueError("there are no clips to train on")
    if min(args.batch_size, len(dataset)) < world.size():
        raise ValueError(f"each of the {world.size()} processes needs a clip of every batch: give larger batches")
    limit_blas_threads(world.size())
    optimizer = optim.AdamW(learning_rate_schedule(args), weight_decay=args.weight_decay, bias_correction=True)
    optimizer.init(model.trainable_parameters())
    gradient_of_loss = nn.value_and_grad(model, loss_function)
    batches = iterate_batches(dataset, args.batch_size, args.seed)
    losses, tokens, started = 0.0, 0, time.perf_counter()
    model.train()
    with tqdm(total=args.iters, desc="Training", unit="it", disable=None if world.rank() == 0 else True) as bar:
        for iteration in range(1, args.iters + 1):
            examples = next(batches)
            frames = context_frames(args.audio_context) or longest_frames(examples)
            count = sum(len(example.tokens) - example.prompt_length for example in examples)
            loss, gradients = gradient_of_loss(model, collate(examples[world.rank() :: world.size()], frames))
            # Each process has the sum over its share of the batch; the step takes the mean over all label tokens.
            gradients = nn.average_gradients(gradients)
            scale = world.size() / count
            gradients = tree_map(lambda gradient, scale=scale: gradient * scale, gradients)
            gradients, _ = optim.clip_grad_norm(gradients, args.max_grad_norm)
            optimizer.update(model, gradients)
            loss = mx.distributed.all_sum(loss) / count
            mx.eval(model.trainable_parameters(), optimizer.state, loss)
            losses += loss.item()
            tokens += count
            bar.update()
            if not math.isfinite(losses):
                raise FloatingPointError(f"the loss is not finite at iteration {iteration}: lower the learning rate")

            if world.rank() == 0 and (iteration % args.steps_per_report == 0 or iteration == args.iters):
                steps = (iteration - 1) % args.steps_per_report + 1
                seconds = time.perf_counter() - started
                print_line(
                    f"Iter {iteration}: Train loss {losses / steps:.3f}, Learning rate "
                    f"{optimizer.learning_rate.item():.3e}, It/sec {steps / seconds:.3f}, "
                    f"Tokens/sec {tokens / seconds:.1f}"
                )
            if iteration % args.steps_per_report == 0:
                losses, tokens, started = 0.0, 0, time.perf_counter()
            if world.rank() == 0 and (iteration % args.steps_per_eval == 0 or iteration == args.iters):
                paused = time.perf_counter()
                model.eval()
                on_evaluate(iteration)
                model.train()
                started += time.perf_counter() - paused
    model.eval()
