"""Keep the best and the newest adapter of a run on disk."""

import contextlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

from mlx_whisper_lora.adapters.adapter_file import AdapterConfig, save_adapter
from mlx_whisper_lora.adapters.errors import AdapterError
from mlx_whisper_lora.data.dataset import Example
from mlx_whisper_lora.training.adapter_places import is_of_run, last_adapter_file
from mlx_whisper_lora.training.callbacks import BASE, AdapterSaved, Callback, Evaluated, RunEnd
from mlx_whisper_lora.training.class_evaluation import ClassEvaluation
from mlx_whisper_lora.training.evaluation import Evaluation
from mlx_whisper_lora.training.objective import Objective
from mlx_whisper_lora.training.results import Result
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.option import OptionError


@dataclass(frozen=True)
class Progress:
    """The scores of a run so far."""

    base: Result | None
    best: Result | None
    best_iteration: int | None
    base_is_best: bool
    without_gain: int

    @staticmethod
    def from_json(stored: dict[str, Any]) -> "Progress":
        """Return what `asdict` made a dictionary of, after JSON.

        Raises:
            KeyError, TypeError: it is not such a dictionary.
        """
        base, best = (_read_result(each) if each else None for each in (stored["base"], stored["best"]))
        return Progress(**stored | {"base": base, "best": base if stored["base_is_best"] else best})


def _read_result(stored: dict[str, Any]) -> Result:
    return (ClassEvaluation if "classes" in stored else Evaluation).from_json(stored)


class AdapterKeeper:
    """Evaluates a model in training, and keeps its newest and its best adapter on disk.

    An adapter is the best if its score on the validation clips is the lowest so far; at equal scores, WER, CER and loss
    decide in this order. The base without an adapter counts too, so that no adapter is kept as the best that makes the
    base worse.

    Args:
        model: the model.
        config: the configuration of its adapter.
        adapter_file: the file for the best adapter. The newest goes to a file beside it.
        objective: evaluates the model.
        valid_sets: the validation clips, under the name "". If there are none, the newest adapter is the best. Other
            sets have names, and their scores decide nothing.
        callback: gets the evaluations and the files.
        best_by: what decides, one of the costs of a result.
        patience: after how many evaluations without a better adapter training should end. None if it should not.
        keep_last: the number of evaluations whose adapters are kept in files of their own.
        writes: whether files are written. Of several processes, one does.
    """

    def __init__(
        self,
        model: Whisper,
        config: AdapterConfig,
        adapter_file: str | PathLike,
        objective: Objective,
        valid_sets: Mapping[str, Sequence[Example]],
        callback: Callback,
        best_by: str,
        patience: int | None = None,
        keep_last: int = 0,
        writes: bool = True,
    ):
        self.model, self.config, self.callback = model, config, callback
        self.objective, self.valid_sets = objective, valid_sets
        self.best_by, self.patience, self.keep_last, self.writes = best_by, patience, keep_last, writes
        self.adapter_file, self.newest_file = Path(adapter_file), last_adapter_file(adapter_file)
        self.base: Result | None = None
        self.watched_base: dict[str, Result] = {}  # of the base, if this run has measured it
        self.best: Result | None = None
        self.best_iteration: int | None = None  # None while the base, or the adapter of an earlier run, is the best
        self.without_gain = 0  # evaluations since the best adapter
        self.stopped_at: int | None = None  # the iteration at which patience ended

    @property
    def progress(self) -> Progress:
        """The scores so far."""
        return Progress(self.base, self.best, self.best_iteration, self.best is self.base, self.without_gain)

    def restore(self, progress: Progress) -> None:
        """Go on from the scores of an interrupted run."""
        self.base, self.best, self.best_iteration = progress.base, progress.best, progress.best_iteration
        self.without_gain = progress.without_gain

    def measure_base(self) -> None:
        """Evaluate the model, which has no adapter yet, as the first candidate."""
        self.base = self.best = self._measure(0, BASE)
        self.watched_base = self._measure_watched(0, BASE)

    def measure_kept(self) -> None:
        """Evaluate the model, whose adapter is the one in `adapter_file`, as a candidate."""
        result = self._measure(0, str(self.adapter_file))
        if result and self._is_best(result):
            self.best = result

    def _measure(self, iteration: int, candidate: str | None = None) -> Result | None:
        """Evaluate the model on the validation clips, if there are any."""
        if "" not in self.valid_sets:
            return None
        result = self._evaluate("", candidate)
        self.callback.evaluation(Evaluated(iteration, result, candidate))
        return result

    def _evaluate(self, name: str, candidate: str | None) -> Result:
        evaluate = self.objective.evaluate_base if candidate == BASE else self.objective.evaluate
        return evaluate(self.model, self.valid_sets[name], f"Validating on {name}" if name else "Validating")

    def _measure_watched(self, iteration: int, candidate: str | None = None) -> dict[str, Result]:
        """Evaluate the model on the other validation sets."""
        results = {name: self._evaluate(name, candidate) for name in self.valid_sets if name}
        for name, result in results.items():
            self.callback.evaluation(Evaluated(iteration, result, candidate, name))
        return results

    def evaluate_and_save(self, iteration: int) -> bool:
        """Evaluate the model, and save its adapter as the newest, and as the best if it is.

        Returns:
            Whether patience has ended.

        Raises:
            FloatingPointError: the adapter is not finite.
            OSError: a file cannot be written.
        """
        result = self._measure(iteration)
        self._measure_watched(iteration)
        self.save_newest()
        if self.keep_last and self.writes:
            self._save(self._file_of_step(iteration))
            self._remove_older()
        self.without_gain += 1
        if result is None or self._is_best(result):
            self.best, self.best_iteration, self.without_gain = result, iteration, 0
            self._save(self.adapter_file, result)
            self.callback.save(AdapterSaved(self.adapter_file, iteration, best=result is not None))
        if self.patience and self.without_gain >= self.patience:
            self.stopped_at = iteration
        return self.stopped_at is not None

    def try_mean(self, iteration: int, n_adapters: int) -> None:
        """Evaluate the model, which has the mean of the last adapters, and save it as the best if it is.

        Raises:
            OSError: the file cannot be written.
        """
        result = self._measure(iteration, f"mean of {n_adapters} adapters")
        if result and self._is_best(result):
            self.best, self.best_iteration = result, iteration
            self._save(self.adapter_file, result)
            self.callback.save(AdapterSaved(self.adapter_file, iteration, best=True))

    def _is_best(self, result: Result) -> bool:
        return self.best is None or result.order(self.best_by) < self.best.order(self.best_by)

    def _file_of_step(self, iteration: int) -> Path:
        return self.adapter_file.with_name(f"{self.adapter_file.stem}_{iteration:07}{self.adapter_file.suffix}")

    def _remove_older(self) -> None:
        """Remove the adapters of this run that are older than those of the last evaluations."""
        name = re.compile(re.escape(self.adapter_file.stem) + r"_\d{7,8}" + re.escape(self.adapter_file.suffix))
        found = [path for path in self.adapter_file.parent.iterdir() if name.fullmatch(path.name)]
        of_run = [path for path in sorted(found, key=lambda path: (len(path.name), path.name)) if self._wrote(path)]
        for path in of_run[: -self.keep_last]:
            path.unlink()

    def _wrote(self, path: Path) -> bool:
        """Return whether a file holds an adapter of this run."""
        with contextlib.suppress(AdapterError):
            return is_of_run(path, self.config)
        return False

    def save_newest(self) -> None:
        """Save the adapter as the newest."""
        self._save(self.newest_file)

    def _save(self, path: Path, result: Result | None = None) -> None:
        """Save the adapter, with its scores if they are given."""
        if self.writes:
            config = result.recorded(self.config, self.base) if result else self.config
            save_adapter(path, self.model, config)

    def save_cut_short(self, error: BaseException) -> None:
        """Save the adapter as the newest because an error ends training, unless it is one of options.

        The adapter is that of the last whole step. If it is not finite, the newest one on disk stays.
        """
        if isinstance(error, OptionError):
            return
        with contextlib.suppress(FloatingPointError):
            self.save_newest()
            with contextlib.suppress(OSError):  # the error may be that nobody reads the output anymore
                self.callback.save(AdapterSaved(self.newest_file, None, best=False))

    def end(self) -> RunEnd:
        """Return the outcome of the run."""
        loss = partial(self.objective.clip_loss, self.model)
        return RunEnd(
            self.adapter_file, self.newest_file, self.base, self.best, self.best_iteration, loss, self.stopped_at
        )
