"""The events of a fine-tuning run, with numbers, and the callback that prints them."""

from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from typing import Any

from tqdm import tqdm

from mlx_whisper_lora.adapters.inject import ParameterCounts
from mlx_whisper_lora.data.clip import Clip
from mlx_whisper_lora.training.evaluation import Evaluation
from mlx_whisper_lora.whisper.checkpoints.hub import DEMO


@dataclass(frozen=True)
class ClipsFound:
    """The clips of a data folder."""

    folder: str
    bundled: bool  # whether they are the demo clips
    counts: dict[str, int]  # number of clips by split


@dataclass(frozen=True)
class ClipsDropped:
    """Clips of a split that are not used."""

    split: str
    clips: list[Clip]
    longest: float  # they are longer than this many seconds


@dataclass(frozen=True)
class RunStart:
    """A run before its first step."""

    parameters: ParameterCounts
    resumed_from: str | PathLike | None  # the adapter file that training starts from
    settings: Any  # the configuration of the method, such as LoRAConfig


@dataclass(frozen=True)
class StepReport:
    """Training since the last report."""

    iteration: int
    loss: float  # mean over the steps, in nats per label token
    learning_rate: float
    steps_per_second: float
    tokens_per_second: float


@dataclass(frozen=True)
class AdapterSaved:
    """An adapter file was written."""

    path: str | PathLike
    iteration: int | None  # None if training was interrupted
    best: bool  # whether it is the best so far on the validation clips


class Callback:
    """Methods that a run calls, in the first of several processes. Each does nothing: override what you need."""

    def load(self, model: str) -> None:
        """Take note that the model of this name is about to be loaded."""

    def clips(self, found: ClipsFound) -> None:
        """Take note of the clips found."""

    def drop(self, dropped: ClipsDropped) -> None:
        """Take note of clips that are not used."""

    def start(self, start: RunStart) -> None:
        """Take note that training begins."""

    def step(self, report: StepReport) -> None:
        """Take note of the training loss, every `steps_per_report` steps."""

    def evaluation(self, iteration: int, result: Evaluation) -> None:
        """Take note of an evaluation on the validation clips."""

    def save(self, saved: AdapterSaved) -> None:
        """Take note of an adapter file that was written."""

    def end(self) -> None:
        """Take note that training is over."""

    def test(self, adapter_file: str | None, clips: int) -> None:
        """Take note that an adapter, or the base without one, is about to be tested on a number of clips."""


class ConsoleCallback(Callback):
    """Prints a line for each event.

    Args:
        print_line: prints a line. By default above the progress bar.
    """

    def __init__(self, print_line: Callable[[str], None] = tqdm.write):
        self.print_line = print_line

    def load(self, model: str) -> None:
        self.print_line(f"Loading model {model}" + (" (bundled; --model gives another)" if model == DEMO else ""))

    def clips(self, found: ClipsFound) -> None:
        counts = ", ".join(f"{count} {split}" for split, count in found.counts.items())
        bundled = " (bundled; --data gives others)" if found.bundled else ""
        self.print_line(f"Clips in {found.folder}{bundled}: {counts}")

    def drop(self, dropped: ClipsDropped) -> None:
        self.print_line(
            f"Left out {len(dropped.clips)} {dropped.split} clips of over {dropped.longest:g} s, "
            f"such as {dropped.clips[0].name}"
        )

    def start(self, start: RunStart) -> None:
        if start.resumed_from is not None:
            self.print_line(f"Resuming from {start.resumed_from}: {start.settings}")
        encoder, decoder, total = (
            count / 1e6 for count in (start.parameters.encoder, start.parameters.decoder, start.parameters.total)
        )
        self.print_line(
            f"Trainable parameters: encoder {encoder:.3f}M, decoder {decoder:.3f}M "
            f"({100 * (encoder + decoder) / total:.3f} % of {total:.3f}M)"
        )

    def step(self, report: StepReport) -> None:
        self.print_line(
            f"Iter {report.iteration}: Train loss {report.loss:.3f}, Learning rate {report.learning_rate:.3e}, "
            f"It/sec {report.steps_per_second:.3f}, Tokens/sec {report.tokens_per_second:.1f}"
        )

    def evaluation(self, iteration: int, result: Evaluation) -> None:
        self.print_line(f"Iter {iteration}: Val loss {result.loss:.3f}, WER {result.wer:.2f} %, CER {result.cer:.2f} %")

    def save(self, saved: AdapterSaved) -> None:
        if saved.iteration is None:
            self.print_line(f"Interrupted: saved the newest adapter to {saved.path}")
        else:
            remark = " (the best so far)" if saved.best else ""
            self.print_line(f"Iter {saved.iteration}: Saved adapter to {saved.path}{remark}")

    def test(self, adapter_file: str | None, clips: int) -> None:
        self.print_line(f"Testing {adapter_file or 'the base model without an adapter'} on {clips} clips")
