"""Write the numbers of a run as lines of JSON, for programs and notebooks."""

import contextlib
import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict
from os import PathLike
from pathlib import Path
from typing import Any

from mlx_whisper_lora.training.callbacks import AdapterSaved, Callback, Evaluated, RunEnd, RunStart, StepReport
from mlx_whisper_lora.training.reporting.numbers import evaluation_numbers, step_numbers
from mlx_whisper_lora.training.reporting.places import beside
from mlx_whisper_lora.version import __version__
from mlx_whisper_lora.whisper.destinations import check_file


class MetricsFile(Callback):
    """Writes a line for each report, evaluation and adapter file, as soon as it is known.

    Each line is an object with the keys "event", "time" (seconds since 1970) and "iteration". A run that resumes, or
    that starts from an adapter, adds its lines to those that are there; another one replaces them.

    Args:
        adapter_file: the file of the best adapter. The lines go to a file beside it: adapters_metrics.jsonl.
    """

    def __init__(self, adapter_file: str | PathLike):
        self.path = beside(adapter_file, "metrics.jsonl")
        self._begun = False

    def load(self, model: str) -> None:
        check_file(self.path)

    def start(self, start: RunStart) -> None:
        self._begun = True
        if not (start.resumed_from or start.options.resume):
            self.path.write_bytes(b"")
        settings = asdict(start.settings) | asdict(start.training)
        clips = {"train_clips": len(start.train_set), "valid_clips": len(start.valid_set)}
        trained = start.parameters.trained
        about = {
            "library_version": __version__,
            "model": start.options.model,
            "trainable_parameters": trained,
            **clips,
            "settings": settings,
        }
        self._write("start", start.steps_before, **about)
        for evaluated in start.of_base():
            self._write_evaluation(evaluated)

    def step(self, report: StepReport) -> None:
        self._write("step", report.iteration, **step_numbers(report))

    def evaluation(self, evaluated: Evaluated) -> None:
        if self._begun:  # those before the start are not of this run's adapter
            self._write_evaluation(evaluated)

    def save(self, saved: AdapterSaved) -> None:
        self._write("save", saved.iteration, file=Path(saved.path).name, best=saved.best)

    def end(self, end: RunEnd) -> None:
        numbers = evaluation_numbers(Evaluated(0, end.best)) if end.best else {}
        self._write("end", end.iteration, base_is_best=end.base_is_best, **numbers)

    def _write_evaluation(self, evaluated: Evaluated) -> None:
        numbers = evaluation_numbers(evaluated)
        self._write("evaluation", evaluated.iteration, candidate=evaluated.candidate, **numbers)

    def _write(self, event: str, iteration: int | None, **values: Any) -> None:
        line = {"event": event, "time": round(time.time(), 3), "iteration": iteration, **values}
        if self._begun:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(_finite(line), ensure_ascii=False) + "\n")


def read_numbers(adapter_file: str | PathLike, until: int) -> Iterator[tuple[int, dict[str, float]]]:
    """Yield the numbers of a run up to a step: the step, and its numbers by name. Candidates are left out.

    A file that is missing, or cut short, has the lines that can be read.
    """
    path = beside(adapter_file, "metrics.jsonl")
    lines: list[dict[str, Any]] = []
    with contextlib.suppress(OSError, ValueError):
        for text in path.read_text(encoding="utf-8").splitlines():
            line = json.loads(text)
            if line["event"] == "start" and line["iteration"] == 0:
                lines = []  # those before are of another run
            lines.append(line)
    for line in lines:
        if line["iteration"] is not None and line["iteration"] <= until and not line.get("candidate"):
            yield line["iteration"], {name: each for name, each in line.items() if "/" in name and each is not None}


def _finite(value: Any) -> Any:
    """Return a value with None for the numbers that JSON lacks."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
