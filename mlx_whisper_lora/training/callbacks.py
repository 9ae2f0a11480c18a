"""The events of a fine-tuning run, with numbers, and the callback that prints them."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mlx_whisper_lora.adapters.inject import ParameterCounts
from mlx_whisper_lora.data.clip import Clip, DataError, Splits, list_errors
from mlx_whisper_lora.data.content import Duplicate
from mlx_whisper_lora.data.text_report import TextReport
from mlx_whisper_lora.training.evaluation import Evaluation
from mlx_whisper_lora.training.options import TrainingOptions
from mlx_whisper_lora.whisper.terminal import terminal_text


@dataclass(frozen=True)
class ClipsFound:
    """The clips of a data folder."""

    folder: str
    bundled: bool  # whether they are the demo clips
    splits: Splits
    unused_tables: list[Path]  # tables in the folder that were not read, because others were
    weight: int = 1  # how often an epoch has each training clip


@dataclass(frozen=True)
class ClipsDropped:
    """Clips of a split that are not used."""

    split: str
    reason: str  # such as "longer than 30 s"
    clips: list[Clip]


@dataclass(frozen=True)
class RunStart:
    """A run before its first step."""

    parameters: ParameterCounts
    resumed_from: str | PathLike | None  # the adapter file that training starts from
    settings: Any  # the configuration of the method, such as LoRAConfig
    training: TrainingOptions  # with all numbers of steps
    n_clips: int  # to train on
    n_valid_clips: int
    notes: list[str]  # sentences about settings that the model can follow in part only


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
    iteration: int | None  # None if training was cut short
    best: bool  # whether it is the best so far on the validation clips


@dataclass(frozen=True)
class Evaluated:
    """An evaluation on the validation clips."""

    iteration: int
    result: Evaluation
    candidate: str | None = None  # "base", a file of an earlier run, or a mean; None for the adapter in training


@dataclass(frozen=True)
class RunEnd:
    """The outcome of a run."""

    adapter_file: Path  # of the best adapter
    newest_file: Path
    base: Evaluation | None  # of the base without an adapter; None if there are no validation clips
    best: Evaluation | None  # of the best candidate
    iteration: int | None  # when the best adapter was saved; None if this run had none that was better
    stopped_at: int | None = None  # the iteration that training ended at, before its time, because nothing got better

    @property
    def base_is_best(self) -> bool:
        """Return whether no adapter was better than the base, so that none was kept as the best."""
        return self.base is not None and self.best is self.base


@dataclass(frozen=True)
class TestStart:
    """A test before it begins."""

    adapter_file: str | PathLike | None  # None for the base without an adapter
    n_clips: int
    seen: list[Clip]  # those that the adapter was trained on


class Callback:
    """Methods that a run calls, in the first of several processes. Each does nothing: override what you need."""

    def load(self, model: str) -> None:
        """Take note that a model is about to be loaded, which is described by its name and where it comes from."""

    def clips(self, found: ClipsFound) -> None:
        """Take note of the clips found."""

    def duplicates(self, found: list[Duplicate]) -> None:
        """Take note of clips whose audio another clip has too."""

    def texts(self, report: TextReport) -> None:
        """Take note of what is unusual about the texts of clips."""

    def skip(self, bad: list[DataError]) -> None:
        """Take note of clips that cannot be used, in a run that skips them."""

    def drop(self, dropped: ClipsDropped) -> None:
        """Take note of clips that are not used."""

    def start(self, start: RunStart) -> None:
        """Take note that training begins."""

    def step(self, report: StepReport) -> None:
        """Take note of the training loss, every `steps_per_report` steps."""

    def evaluation(self, evaluated: Evaluated) -> None:
        """Take note of an evaluation on the validation clips."""

    def save(self, saved: AdapterSaved) -> None:
        """Take note of an adapter file that was written."""

    def end(self, end: RunEnd) -> None:
        """Take note that training is over."""

    def test(self, start: TestStart) -> None:
        """Take note that an adapter, or the base without one, is about to be tested."""


class ConsoleCallback(Callback):
    """Prints a line for each event.

    Args:
        print_line: prints a line. By default above the progress bar.

    Attributes:
        saved_last: the file that was saved when training was cut short. None if that did not happen.
    """

    def __init__(self, print_line: Callable[[str], None] = tqdm.write):
        self.print_line = lambda line: print_line(terminal_text(line))
        self.saved_last: str | PathLike | None = None

    def load(self, model: str) -> None:
        self.print_line(f"Loading model {model}")

    def clips(self, found: ClipsFound) -> None:
        counts = ", ".join(f"{len(clips)} {split}" for split, clips in found.splits.items())
        bundled = " (bundled; --data gives others)" if found.bundled else ""
        weight = f"; each train clip counts {found.weight} times" if found.weight > 1 else ""
        self.print_line(f"Clips in {found.folder}{bundled}: {counts}{weight}")
        if found.unused_tables:
            self.print_line(f"Note: not read, as other tables are there: {', '.join(map(str, found.unused_tables))}")
        silent = [clip for clips in found.splits.values() for clip in clips if not clip.text]
        if silent:
            self.print_line(f"Note: {len(silent)} clips have no text, such as {silent[0].name}; they count as silence")

    def duplicates(self, found: list[Duplicate]) -> None:
        pairs = Counter((duplicate.split, duplicate.first_split) for duplicate in found)
        for (split, first_split), count in pairs.items():
            example = next(each for each in found if (each.split, each.first_split) == (split, first_split))
            where = f"other {split} clips have" if split == first_split else f"{first_split} clips have too"
            self.print_line(
                f"Note: {count} {split} clips have audio that {where}, such as {example.clip.name} and "
                f"{example.first.name}"
            )
        if differing := [each for each in found if not each.has_same_text]:
            clip, first = differing[0].clip, differing[0].first
            self.print_line(
                f"Note: {len(differing)} of these clips have another text than the clip with their audio, such as "
                f"{clip.text!r} ({clip.origin or clip.name}) and {first.text!r} ({first.origin or first.name})"
            )

    def texts(self, report: TextReport) -> None:
        for line in report.lines():
            self.print_line(line)

    def skip(self, bad: list[DataError]) -> None:
        for line in (f"Skipped {len(bad)} clips that cannot be used:", *list_errors(bad)):
            self.print_line(line)

    def drop(self, dropped: ClipsDropped) -> None:
        self.print_line(
            f"Left out {len(dropped.clips)} {dropped.split} clips ({dropped.reason}), such as {dropped.clips[0].name}"
        )

    def start(self, start: RunStart) -> None:
        if start.resumed_from is not None:
            self.print_line(f"Resuming from {start.resumed_from}: {start.settings}")
        for note in start.notes:
            self.print_line(f"Note: {note}")
        encoder, decoder, total = (
            count / 1e6 for count in (start.parameters.encoder, start.parameters.decoder, start.parameters.total)
        )
        self.print_line(
            f"Trainable parameters: encoder {encoder:.3f}M, decoder {decoder:.3f}M "
            f"({100 * (encoder + decoder) / total:.3f} % of {total:.3f}M)"
        )
        iters, size = start.training.iters or 0, start.training.clips_per_step
        if start.training.warmup == iters:
            self.print_line(f"Note: the learning rate rises over all {iters} steps (warmup), and does not fall")
        self.print_line(
            f"Training: {iters} steps of {min(size, start.n_clips)} clips, "
            f"{iters * min(size, start.n_clips) / start.n_clips:.1f} passes over {start.n_clips} clips"
        )
        if not start.n_valid_clips:
            self.print_line("Note: there are no validation clips, so the newest adapter counts as the best")

    def step(self, report: StepReport) -> None:
        self.print_line(
            f"Iter {report.iteration}: Train loss {report.loss:.3f}, Learning rate {report.learning_rate:.3e}, "
            f"It/sec {report.steps_per_second:.3f}, Tokens/sec {report.tokens_per_second:.1f}"
        )

    def evaluation(self, evaluated: Evaluated) -> None:
        result = evaluated.result
        candidate = f" ({evaluated.candidate})" if evaluated.candidate else ""
        self.print_line(
            f"Iter {evaluated.iteration}{candidate}: Val loss {result.loss:.3f}, WER {result.wer:.2f} %, "
            f"CER {result.cer:.2f} %"
        )

    def save(self, saved: AdapterSaved) -> None:
        if saved.iteration is None:
            self.saved_last = saved.path
            self.print_line(f"Interrupted: saved the newest adapter to {saved.path}")
        else:
            remark = " (the best so far)" if saved.best else ""
            self.print_line(f"Iter {saved.iteration}: Saved adapter to {saved.path}{remark}")

    def end(self, end: RunEnd) -> None:
        if end.stopped_at is not None:
            self.print_line(f"Iter {end.stopped_at}: no better adapter for too long (early stopping): training ends")
        if end.base is None or end.best is None:
            return
        if end.iteration is not None:
            self.print_line(
                f"Best: iteration {end.iteration}, WER {end.best.wer:.2f} %, CER {end.best.cer:.2f} % "
                f"(base: {end.base.wer:.2f} % and {end.base.cer:.2f} %), in {end.adapter_file}"
            )
        elif end.base_is_best:
            old = ", and keeps the adapter of another run" if end.adapter_file.exists() else ""
            self.print_line(
                f"No adapter was better than the base (WER {end.base.wer:.2f} %): {end.adapter_file} was not "
                f"written{old}; the newest adapter is in {end.newest_file}"
            )
        else:
            self.print_line(f"The adapter in {end.adapter_file} is still the best (WER {end.best.wer:.2f} %)")

    def test(self, start: TestStart) -> None:
        self.print_line(f"Testing {start.adapter_file or 'the base model without an adapter'} on {start.n_clips} clips")
        if start.seen:
            self.print_line(
                f"Warning: the adapter was trained on {len(start.seen)} of them, such as {start.seen[0].name}; "
                "it makes more errors on clips that it has not heard"
            )
