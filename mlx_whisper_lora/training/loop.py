"""The training loop."""

import contextlib
import itertools
import math
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import mlx.core as mx
import mlx.optimizers as optim
import numpy as np
from mlx.utils import tree_map
from tqdm import tqdm

from mlx_whisper_lora.data.ahead import DrawnBatch, LateErrors, read_ahead
from mlx_whisper_lora.data.batches import batch_frames, iterate_batches
from mlx_whisper_lora.data.dataset import Example
from mlx_whisper_lora.data.packing import Packer
from mlx_whisper_lora.training.callbacks import Callback
from mlx_whisper_lora.training.distributed import World
from mlx_whisper_lora.training.gradients import CompiledGradients, PiecewiseGradients
from mlx_whisper_lora.training.meter import Meter
from mlx_whisper_lora.training.optimizer import make_optimizer
from mlx_whisper_lora.training.options import TrainingOptions
from mlx_whisper_lora.training.run_state import RunState
from mlx_whisper_lora.whisper.audio.constants import CHUNK_LENGTH, N_FRAMES
from mlx_whisper_lora.whisper.model.ops import compiles
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.option import OptionError
from mlx_whisper_lora.whisper.stopping import at_stop

_SHOWN_CLIPS, _SHOWN_TEXT = 4, 40  # of a step whose loss is not finite: clips, and characters of a text
_FULL_CONTEXT_COST = 4  # a window of 30 s costs about as much as this many clips, or more


def train(
    model: Whisper,
    dataset: Sequence[Any],
    options: TrainingOptions,
    on_evaluate: Callable[[int], bool | None],
    callback: Callback,
    collate: Callable[[list, int | None], Any],
    loss_function: Callable[[Whisper, Any], mx.array],
    packer: Packer | None = None,
    read: Callable[[Iterator[DrawnBatch]], Generator[DrawnBatch, None, None]] | None = None,
    rate_factors: Mapping[str, float] | None = None,
    state: RunState | None = None,
) -> None:
    """Train the parameters of a model that are not frozen.

    Each of several processes computes its share of every batch. The first one reports.

    Args:
        model: the model. It is trained in place.
        dataset: the examples, or others with `n_frames`, `n_targets` and `loaded`, if the next arguments suit them.
        options: how to train. The number of examples decides the numbers of steps that are not given.
        on_evaluate: called with the iteration every `steps_per_eval` steps and after the last one. Training ends if it
            returns true.
        callback: its `step` is called every `steps_per_report` steps and after the last one.
        collate: makes a batch of examples, with mel frames of the given number, or as many as the longest needs, such
            as `EncoderCache.collate`.
        loss_function: sums the loss over the targets of a batch, which are `n_targets` in each example.
        packer: draws windows of several clips from the dataset. None trains on single clips.
        read: loads the examples of batches. By default `read_ahead`, and a clip that cannot be decoded is an error.
        rate_factors: factors of the learning rate, as for `make_optimizer`.
        state: saves the state of the run, and gives the one to go on from.

    Raises:
        ValueError: there are no examples.
        DataError: a clip cannot be used, before the step that it would be in.
        OptionError: there are fewer examples in a batch than processes.
        FloatingPointError: the loss is not finite.
        ConnectionError: another process has ended or is frozen.
    """
    world = World()
    options = options.resolve(len(dataset))
    iters, steps_per_eval = options.iters or 1, options.steps_per_eval or 1
    if min(options.clips_per_step, len(dataset)) < world.size:
        raise OptionError(f"each of {world.size} processes needs a clip of every batch: give a larger `batch_size`")
    mixture = _Mixture(options, packer, len(dataset))
    optimizer = make_optimizer(options, rate_factors or {})
    optimizer.init(model.trainable_parameters())
    read = read or partial(read_ahead, errors=LateErrors(skip=False, report=callback.skip))
    drawn = mixture.draw(iterate_batches(dataset, options.clips_per_step, options.seed))
    done, evaluated = 0, 0
    if state:
        state.begin(optimizer)
        done, evaluated = state.iteration, state.evaluated
        drawn = itertools.islice(drawn, state.n_drawn, None)
    mx.eval(model.trainable_parameters(), optimizer.state)  # nothing can be computed while a process is waited for
    batches = read(drawn)
    meter = Meter(iters, steps_per_eval, options.clips_per_step / max(options.clips_per_step, len(dataset)))
    model.train()
    take_step = _step_function(
        model, optimizer, options.max_grad_norm, options.batch_size, world, collate, loss_function
    )

    def is_due(iteration: int, steps: int) -> bool:
        return iteration == iters or (iteration > 0 and iteration % steps == 0)

    def evaluate(iteration: int) -> bool:
        with meter.paused():
            model.eval()
            enough = on_evaluate(iteration)
            model.train()
        return bool(enough)

    hidden = None if world.speaks else True
    with contextlib.closing(batches), tqdm(total=iters, desc="Training", unit="it", disable=hidden) as bar:
        bar.update(done)
        if evaluated < done and is_due(done, steps_per_eval) and evaluate(done):
            iters = done
        for iteration in range(done + 1, iters + 1):
            examples, audio_context, number = next(batches)
            frames = batch_frames(examples, audio_context)
            count = sum(example.n_targets for example in examples)
            mx.random.seed(_seed_of_step(options.seed, iteration, world.rank))
            with _undone_if_cut_short(model, optimizer), world.together():
                loss, norm = take_step(world.share(examples), frames, count)
                mx.eval(model.trainable_parameters(), optimizer.state, loss, norm)
                if not (math.isfinite(loss.item()) and math.isfinite(norm.item())):
                    raise FloatingPointError(_not_finite(iteration, examples))
            meter.add(loss.item(), examples)
            bar.set_postfix_str(meter.describe(iteration), refresh=False)
            bar.update()
            if state:
                state.step_taken(iteration, number + 1)
            if is_due(iteration, options.steps_per_report):
                report = meter.report(iteration, optimizer.learning_rate.item())
                if world.speaks:
                    callback.step(report)
            if is_due(iteration, steps_per_eval) and evaluate(iteration):
                break
    model.eval()


def _not_finite(iteration: int, examples: Sequence[Example]) -> str:
    """Return the message for a loss, or a gradient, that is not a number or infinite."""
    names = [each.clip.name if each.clip else repr(each.text[:_SHOWN_TEXT]) for each in examples]
    clips = ", ".join(names[:_SHOWN_CLIPS]) + (f" and {len(names) - _SHOWN_CLIPS} more" * (len(names) > _SHOWN_CLIPS))
    return f"the loss is not finite at iteration {iteration}: lower the learning rate, or look at its clips ({clips})"


def _seed_of_step(seed: int, iteration: int, rank: int) -> int:
    """Return the seed of what a process draws in a step, so that a run that goes on draws it again."""
    return int(np.random.SeedSequence([seed, iteration, rank]).generate_state(1)[0])


def _undone_if_cut_short(model: Whisper, optimizer: optim.Optimizer) -> contextlib.AbstractContextManager[None]:
    """Restore parameters and optimizer if the body fails: some would be new, and some would wait for a lost process."""
    parameters, state = model.trainable_parameters(), tree_map(lambda array: array, optimizer.state)

    def restore(error: BaseException) -> None:
        model.update(parameters)
        optimizer.state = state

    return at_stop(restore)


def _step_function(
    model: Whisper,
    optimizer: optim.Optimizer,
    max_grad_norm: float,
    batch_size: int,
    world: World,
    collate: Callable[[list, int | None], Any],
    loss_function: Callable[[Whisper, Any], mx.array],
) -> Callable[[list, int, int], tuple[mx.array, mx.array]]:
    """Return a function that takes a step, and returns the mean loss of all processes, and the norm of the gradient.

    Its arguments are the examples of this process, the mel frames of a window, and the targets of all processes.
    """

    if compiles():
        # The batch size counts the clips of all processes together.
        sums: Callable = CompiledGradients(model, collate, loss_function, math.ceil(batch_size / world.size))
    else:
        sums = PiecewiseGradients(model, collate, loss_function)

    def update(loss: mx.array, gradients: dict, count: mx.array) -> tuple[mx.array, mx.array]:
        # Each process has the sums over its share of the batch. The step takes the mean over all label tokens.
        mean = tree_map(lambda total: total * (world.size / count), world.average({"loss": loss, "of": gradients}))
        clipped, norm = optim.clip_grad_norm(mean["of"], max_grad_norm)
        optimizer.update(model, clipped)
        return mean["loss"], norm

    state = [model.state, optimizer.state]
    apply = partial(mx.compile, inputs=state, outputs=state)(update) if compiles() else update

    def take_step(examples: list, frames: int, count: int) -> tuple[mx.array, mx.array]:
        loss, gradients = sums(examples, frames)
        return apply(loss, gradients, mx.array(count))

    return take_step


class _Mixture:
    """Makes steps of batches of clips: clips alone, clips in full windows, and windows of several clips.

    A step of windows has a window in the place of each four clips, which costs about as much. So many steps have
    windows that the given share of the text is trained in them.
    """

    def __init__(self, options: TrainingOptions, packer: Packer | None, n_clips: int):
        self.options, self.packer = options, packer if options.pack else None
        self.rng = np.random.default_rng(options.seed)
        self.share = options.pack * len(packer) / n_clips if packer else 0.0
        self.n_targets, self.n_packed = 0, 0  # label tokens so far, and those in windows of several clips

    def draw(self, batches: Iterable[list[Example]]) -> Iterator[DrawnBatch]:
        """Yield what a step is made of, for each batch of clips."""
        return (self._draw_step(clips, number) for number, clips in enumerate(batches))

    def _draw_step(self, clips: list[Example], number: int) -> DrawnBatch:
        """Return the examples of a step, some with timestamps."""
        audio_context = self.options.audio_context
        joinable = [each for each in clips if self.packer.joins(each)] if self.packer else []
        if self.packer and joinable and self.n_packed <= self.share * self.n_targets:
            windows = self.packer.draw(joinable[::_FULL_CONTEXT_COST], self.rng)
            self._count(windows, packed=True)
            return DrawnBatch(windows, audio_context, number)
        is_short = batch_frames(clips, audio_context) < N_FRAMES
        if is_short and self.rng.random() < self.options.full_context_share:
            clips, audio_context = clips[::_FULL_CONTEXT_COST], CHUNK_LENGTH
        timed = self.rng.random(len(clips)) < self.options.timestamps_share
        examples = [each.with_timestamps() if draw else each for each, draw in zip(clips, timed, strict=True)]
        self._count(examples, packed=False)
        return DrawnBatch(examples, audio_context, number)

    def _count(self, examples: list[Example], packed: bool) -> None:
        count = sum(example.n_targets for example in examples)
        self.n_targets += count
        self.n_packed += count if packed else 0
