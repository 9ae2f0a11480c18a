"""The training loop."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_map
from tqdm import tqdm

from mlx_whisper_lora.data.batches import Batch, longest_frames, make_batch, shuffled
from mlx_whisper_lora.data.examples import Example, context_frames
from mlx_whisper_lora.training.loss import label_loss
from mlx_whisper_lora.whisper.audio import CHUNK_LENGTH
from mlx_whisper_lora.whisper.cpu import share_cores
from mlx_whisper_lora.whisper.model import Whisper


@dataclass
class TrainingArgs:
    """Options of `train`; `help` is what the command line says of each. Raises ValueError for a value out of range."""

    iters: int = field(default=600, metadata={"help": "Training steps."})
    batch_size: int = field(default=16, metadata={"help": "Clips a step."})
    learning_rate: float = field(default=1e-3, metadata={"help": "AdamW's largest learning rate."})
    warmup: int = field(default=50, metadata={"help": "Steps over which the learning rate rises from 0."})
    weight_decay: float = field(default=0.01, metadata={"help": "AdamW's weight decay."})
    max_grad_norm: float = field(default=1.0, metadata={"help": "Longer gradients are shortened to this norm."})
    steps_per_report: int = field(default=10, metadata={"help": "Steps between reports of the training loss."})
    steps_per_eval: int = field(default=200, metadata={"help": "Steps between evaluations on the validation clips."})
    audio_context: float = field(
        default=30.0,
        metadata={"help": "Seconds of sound that the encoder sees in training; 0: as many as a batch's longest clip."},
    )
    seed: int = field(default=0, metadata={"help": "Seed of the weights, the order of the clips and dropout."})

    def __post_init__(self):
        for name in ("iters", "batch_size", "steps_per_report", "steps_per_eval"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("learning_rate", "max_grad_norm"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        for name in ("warmup", "weight_decay", "seed"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")
        if not 0 <= self.audio_context <= CHUNK_LENGTH:
            raise ValueError(f"audio_context must be from 0 to {CHUNK_LENGTH} seconds, got {self.audio_context}")


def learning_rate_schedule(args: TrainingArgs) -> Callable[[mx.array], mx.array]:
    """A linear rise over `warmup` steps, then a cosine down to a hundredth of the learning rate at the last step."""
    decay = optim.cosine_decay(args.learning_rate, max(args.iters - 1 - args.warmup, 1), args.learning_rate / 100)
    if args.warmup == 0:
        return decay
    return optim.join_schedules([optim.linear_schedule(0, args.learning_rate, args.warmup), decay], [args.warmup])


def train(
    model: Whisper,
    dataset: Sequence[Example],
    args: TrainingArgs,
    on_evaluate: Callable[[int], None],
    print_line: Callable[[str], None] = tqdm.write,
    collate: Callable[[list, int | None], Batch] = make_batch,
    loss_function: Callable[[Whisper, Batch], mx.array] = label_loss,
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
    share_cores(world.size())
    optimizer = optim.AdamW(learning_rate_schedule(args), weight_decay=args.weight_decay, bias_correction=True)
    optimizer.init(model.trainable_parameters())
    gradient_of_loss = nn.value_and_grad(model, loss_function)
    batches = shuffled(dataset, args.batch_size, args.seed)
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
