"""Measure the loss and the speed of training, the memory that it takes, and the time that is left."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import Any

from mlx_whisper_lora.training.callbacks import StepReport
from mlx_whisper_lora.whisper.audio.constants import FRAMES_PER_SECOND
from mlx_whisper_lora.whisper.devices import peak_memory


class Meter:
    """The loss and the speed since the last report. Pauses do not count.

    Args:
        iters: the last step.
        steps_per_eval: steps between evaluations. There is one after the last step too.
        passes_per_step: the share of a pass over the clips that a step takes.
    """

    def __init__(self, iters: int, steps_per_eval: int, passes_per_step: float):
        self.iters, self.steps_per_eval, self.passes_per_step = iters, steps_per_eval, passes_per_step
        self.began = time.perf_counter()
        self.all_steps = 0
        self.pauses: list[float] = []  # seconds of each evaluation
        self._start()

    def _start(self) -> None:
        self.steps, self.loss, self.tokens, self.frames = 0, 0.0, 0, 0
        self.started = time.perf_counter()

    def add(self, loss: float, examples: Sequence[Any]) -> None:
        """Count a step, with the examples of all processes."""
        self.steps += 1
        self.all_steps += 1
        self.loss += loss
        self.tokens += sum(example.n_targets for example in examples)
        self.frames += sum(example.n_frames for example in examples)

    def report(self, iteration: int, learning_rate: float) -> StepReport:
        """Report on the steps since the last report, and begin anew."""
        report = self._measure(iteration, learning_rate)
        self._start()
        return report

    def describe(self, iteration: int) -> str:
        """Return the end of the progress bar, for the steps since the last report."""
        now = self._measure(iteration, 0.0)
        return (
            f"loss {now.loss:.3f}, {now.tokens_per_second:.0f} tokens/s, {now.audio_per_second:.1f} s audio/s, "
            f"pass {now.passes:.2f}, {now.peak_memory / 1e9:.2f} GB"
        )

    def _measure(self, iteration: int, learning_rate: float) -> StepReport:
        seconds = time.perf_counter() - self.started
        return StepReport(
            iteration,
            loss=self.loss / self.steps,
            learning_rate=learning_rate,
            steps_per_second=self.steps / seconds,
            tokens_per_second=self.tokens / seconds,
            audio_per_second=self.frames / FRAMES_PER_SECOND / seconds,
            passes=iteration * self.passes_per_step,
            peak_memory=peak_memory(),
            seconds_left=self._seconds_left(iteration),
        )

    def _seconds_left(self, iteration: int) -> float:
        """Estimate the time to the end, with the evaluations as soon as one was measured."""
        trained = time.perf_counter() - self.began - sum(self.pauses)
        left = (self.iters - iteration) * trained / self.all_steps
        if self.pauses:  # a report comes before the evaluation after the same step
            evaluations = -(-self.iters // self.steps_per_eval) - (iteration - 1) // self.steps_per_eval
            left += evaluations * sum(self.pauses) / len(self.pauses)
        return left

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Leave out the time that is spent inside."""
        paused = time.perf_counter()
        yield
        self.pauses.append(time.perf_counter() - paused)
        self.started += self.pauses[-1]
