"""Write a report on a run as one HTML page that needs no network, with clips that can be played."""

import contextlib
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from html import escape
from itertools import islice
from os import PathLike
from typing import IO

from mlx_whisper_lora.data.clip import DataError
from mlx_whisper_lora.data.dataset import Example
from mlx_whisper_lora.data.html import MOST_AUDIO, PAGE_END, labeled_text, page_start, player
from mlx_whisper_lora.training.callbacks import Callback, Evaluated, RunEnd, RunStart, StepReport
from mlx_whisper_lora.training.class_evaluation import CLASS_SCORES
from mlx_whisper_lora.training.reporting.chart import draw_curves
from mlx_whisper_lora.training.reporting.metrics_file import read_numbers
from mlx_whisper_lora.training.reporting.numbers import evaluation_numbers, step_numbers
from mlx_whisper_lora.training.reporting.places import beside
from mlx_whisper_lora.training.results import Result
from mlx_whisper_lora.version import __version__
from mlx_whisper_lora.whisper.atomic_files import atomic_write
from mlx_whisper_lora.whisper.audio.errors import AudioError
from mlx_whisper_lora.whisper.destinations import check_file
from mlx_whisper_lora.whisper.terminal import progress_bar

_TRANSCRIPTS = 10  # validation clips that are shown
_MEASURED, _SLOWEST = 100, 10  # training clips whose loss is computed, and those of the highest that are shown


class ReportPage(Callback):
    """Writes adapters_report.html when training is over: curves, transcripts, the clips learned slowest, options.

    Args:
        adapter_file: the file of the best adapter. The page goes to a file beside it.
    """

    def __init__(self, adapter_file: str | PathLike):
        self.adapter_file, self.path = adapter_file, beside(adapter_file, "report.html")
        self._start: RunStart | None = None
        self._curves: dict[str, dict[int, float]] = {}  # by name, as in adapters_metrics.jsonl, and step
        self._newest: Result | None = None
        self._notes: list[str] = []  # lines about what came before training, such as the scores of folds

    def load(self, model: str) -> None:
        check_file(self.path)

    def note(self, line: str) -> None:
        self._notes.append(line)

    def start(self, start: RunStart) -> None:
        self._start, self._curves, self._newest = start, {}, None
        for evaluated in start.of_base():
            self._add(0, evaluation_numbers(evaluated))
        for iteration, numbers in read_numbers(self.adapter_file, start.steps_before) if start.steps_before else ():
            self._add(iteration, numbers)

    def step(self, report: StepReport) -> None:
        self._add(report.iteration, step_numbers(report))

    def evaluation(self, evaluated: Evaluated) -> None:
        if evaluated.candidate is None:
            self._add(evaluated.iteration, evaluation_numbers(evaluated))
            if evaluated.watched is None:
                self._newest = evaluated.result

    def _add(self, iteration: int, numbers: dict[str, float]) -> None:
        for name, number in numbers.items():
            self._curves.setdefault(name, {})[iteration] = number

    def end(self, end: RunEnd) -> None:
        if self._start:
            measured = _measure(self._start, end)
            with atomic_write(self.path) as file:
                self._write(file, self._start, end, measured)

    def _write(self, file: IO[str], start: RunStart, end: RunEnd, measured: list[tuple[float, Example]]) -> None:
        file.write(page_start(f"Training of {end.adapter_file.name}", _summary(start, end, self._last)))
        for chart in self._charts():
            file.write(f"<figure>{chart}</figure>\n" if chart else "")
        if self._notes:
            lines = escape("\n".join(self._notes))
            file.write(f"<details open><summary>Before training</summary>\n<pre>{lines}</pre></details>\n")
        left = MOST_AUDIO
        for heading, articles in (
            ("Validation clips, before and after", _transcripts(start, end, self._newest)),
            (f"Training clips learned slowest, of {len(measured)}", _slow_clips(measured[:_SLOWEST])),
        ):
            file.write(f"<h2>{heading}</h2>\n")
            for example, texts in articles:
                audio = _player(example) if left > 0 else ""
                left -= len(audio)
                name = example.clip.name if example.clip else "clip"
                file.write(f"<article><h3>{escape(name)}</h3>\n{audio}{texts}</article>\n")
        file.write("<details><summary>Options</summary>\n<table>")
        for name, value in _options(start):
            file.write(f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>\n")
        file.write(f"</table></details>\n{PAGE_END}")

    def _charts(self) -> Iterator[str]:
        """Yield the curves of the run."""
        watched = (name.removeprefix("valid_").rpartition("/")[0] for name in self._curves if name.startswith("valid_"))
        sets = [*dict.fromkeys(watched)]
        loss = {"training": "train/loss", "validation": "valid/loss"} | {each: f"valid_{each}/loss" for each in sets}
        errors = {"WER": "valid/wer", "CER": "valid/cer"} | {f"WER, {each}": f"valid_{each}/wer" for each in sets}
        yield self._chart("Loss", loss)
        yield self._chart("Errors, in %", errors)
        yield self._chart("Classes, in %", {name.replace("_", " "): f"valid/{name}" for name in CLASS_SCORES})
        yield self._chart("Learning rate", {"": "train/learning_rate"})
        yield self._chart("Seconds of audio a second", {"": "speed/audio_per_second"})

    def _chart(self, title: str, names: dict[str, str]) -> str:
        return draw_curves(
            title, {shown: [*self._curves.get(name, {}).items()] for shown, name in names.items()}, "step"
        )

    def _last(self, name: str) -> float | None:
        """Return the last number of a curve, if there is one."""
        return next(reversed(self._curves.get(name, {}).values()), None)


def _summary(start: RunStart, end: RunEnd, last: Callable[[str], float | None]) -> Iterator[str]:
    """Yield lines on the outcome and on the data."""
    if end.base and end.best:
        outcome = "no adapter was better" if end.base_is_best else f"best adapter: {_scores(end.best)}"
        yield f"base: {_scores(end.base)}; {outcome}"
    passes, memory = last("train/passes"), last("speed/peak_memory_gb")
    course = f", {passes:.1f} passes" if passes is not None else ""
    yield f"{start.training.iters} steps{course}" + (f", peak memory {memory:.2f} GB" if memory is not None else "")
    for split, examples in (("train", start.train_set), ("valid", start.valid_set)):
        yield f"{split}: {_describe(examples)}"
    yield f"base model: {start.options.model}; adapter: {start.settings}"
    yield f"mlx_whisper_lora {__version__}"


def _scores(result: Result) -> str:
    return f"{result.summary()}, loss {result.loss:.3f}"


def _describe(examples: Sequence[Example]) -> str:
    """Return the number of clips, their length, speakers and languages."""
    minutes = sum(each.seconds for each in examples) / 60
    length = f"{minutes / 60:.1f} hours" if minutes >= 60 else f"{minutes:.1f} minutes"
    speakers = {each.clip.speaker for each in examples if each.clip and each.clip.speaker}
    languages = sorted({str(each.language) for each in examples})
    known = f", {len(speakers)} speakers" if speakers else ""
    return f"{len(examples)} clips, {length}{known}, {', '.join(languages) or 'no language'}"


def _measure(start: RunStart, end: RunEnd) -> list[tuple[float, Example]]:
    """Return the loss of training clips that are chosen at random, the highest first: no more clips than were drawn."""
    distinct = [*{each.key: each for each in start.train_set}.values()]
    drawn = (start.training.iters or 0) * start.training.clips_per_step
    some = random.Random(0).sample(distinct, min(_MEASURED, drawn, len(distinct)))
    found: list[tuple[float, Example]] = []
    for each in progress_bar(some, desc="Measuring clips", unit="clip"):
        with contextlib.suppress(DataError):  # training has skipped it too
            found.append((end.clip_loss(each), each))
    return sorted(found, key=lambda pair: -pair[0])


def _slow_clips(slowest: list[tuple[float, Example]]) -> Iterator[tuple[Example, str]]:
    for loss, each in slowest:
        yield each, labeled_text(f"loss {loss:.2f}", each.text, each.language)


def _transcripts(start: RunStart, end: RunEnd, newest: Result | None) -> Iterator[tuple[Example, str]]:
    """Yield validation clips with their texts, and their transcripts by the base and by the best adapter."""
    if end.base and newest:
        after = newest if end.base_is_best or end.best is None else end.best
        rows = zip(start.valid_set, end.base.hypotheses, after.hypotheses, strict=False)
        for each, before, heard in islice(rows, _TRANSCRIPTS):
            texts = (("text", each.text), ("before", before), ("after", heard))
            yield each, "".join(labeled_text(label, text, each.language) for label, text in texts)


def _player(example: Example) -> str:
    """Return the player of a clip, or nothing if it cannot be read a second time: the run is over, and stays."""
    with contextlib.suppress(AudioError, DataError, OSError):
        return player(example.clip) if example.clip else ""
    return ""


def _options(start: RunStart) -> Iterator[tuple[str, str]]:
    """Yield name and value of the options that have a value."""
    for options in (start.options, start.options.sources, start.options.hub, start.settings, start.training):
        for each in fields(options):
            if each.metadata and getattr(options, each.name) is not None:
                value = getattr(options, each.name)
                yield each.name, ", ".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)
