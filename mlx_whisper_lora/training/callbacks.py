"""The events of a fine-tuning run, with numbers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

from mlx_whisper_lora.adapters.inject import ParameterCounts
from mlx_whisper_lora.data.clip import Clip, DataError, Splits
from mlx_whisper_lora.data.content import Duplicate
from mlx_whisper_lora.data.dataset import Example
from mlx_whisper_lora.data.text_report import TextReport
from mlx_whisper_lora.training.options import TrainingOptions
from mlx_whisper_lora.training.results import Result
from mlx_whisper_lora.training.run_options import RunOptions

BASE = "base"  # the candidate that an adapter has to beat


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
class TrialsStart:
    """A run that begins with trials, which decide how it goes on, before the first of them."""

    options: RunOptions  # with the names of the base and of the adapter file
    settings: Any  # the configuration of the method, such as LoRAConfig
    training: TrainingOptions  # with all numbers of steps


@dataclass(frozen=True)
class RunStart:
    """A run before its first step."""

    parameters: ParameterCounts
    resumed_from: str | PathLike | None  # the adapter file that training starts from
    options: RunOptions  # with the names of the base and of the adapter file
    settings: Any  # the configuration of the method, such as LoRAConfig
    training: TrainingOptions  # with all numbers of steps
    train_set: Sequence[Example]
    valid_set: Sequence[Example]
    base: Result | None  # of the base without an adapter; None if there are no validation clips
    notes: list[str]  # sentences about settings that the model can follow in part only
    steps_before: int = 0  # that the run took before it was cut off, if it goes on from its state
    watched_base: Mapping[str, Result] = field(default_factory=dict)  # of the base, on other validation sets

    def of_base(self) -> "Iterator[Evaluated]":
        """Yield the evaluations of the base, on the validation clips and on the other validation sets."""
        if self.base:
            yield Evaluated(0, self.base, BASE)
        for name, result in self.watched_base.items():
            yield Evaluated(0, result, BASE, name)


@dataclass(frozen=True)
class StepReport:
    """Training since the last report."""

    iteration: int
    loss: float  # mean over the steps, in nats per label token
    learning_rate: float
    steps_per_second: float
    tokens_per_second: float  # of labels
    audio_per_second: float  # seconds of clips a second
    passes: float  # over the training clips so far
    peak_memory: int  # bytes, since the process began: of MLX on a GPU, of the process on a CPU
    seconds_left: float  # to the end of training, with the evaluations once one was measured


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
    result: Result
    candidate: str | None = None  # BASE, a file of an earlier run, or a mean; None for the adapter in training
    watched: str | None = None  # the name of another validation set, whose score decides nothing


@dataclass(frozen=True)
class RunEnd:
    """The outcome of a run."""

    adapter_file: Path  # of the best adapter
    newest_file: Path
    base: Result | None  # of the base without an adapter; None if there are no validation clips
    best: Result | None  # of the best candidate
    iteration: int | None  # when the best adapter was saved; None if this run had none that was better
    clip_loss: Callable[[Example], float]  # of the newest adapter, in nats per label token
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

    def trials(self, start: TrialsStart) -> None:
        """Take note that trials begin."""

    def note(self, line: str) -> None:
        """Take note of a line about trials."""

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


def all_of(callbacks: Sequence[Callback]) -> Callback:
    """Return a callback that gives each event to several ones, in their order."""
    together = Callback()
    for name in (name for name in vars(Callback) if not name.startswith("_")):
        setattr(together, name, partial(_call_each, [getattr(each, name) for each in callbacks]))
    return together


def _call_each(methods: Sequence[Callable[[Any], None]], event: Any) -> None:
    for method in methods:
        method(event)
