"""Successive halving: train candidates, and drop the worse ones early.

Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter Optimization" (2016); Li et al.,
"Hyperband" (2018). All candidates are trained for a quarter of the steps, those that are left go on to a half, and then
to the end. Each follows the learning rate of a whole run: when others are dropped does not matter to it, and the last
ones have been trained as the run after the search will be.

The score is the loss on the validation clips. The given settings, the first candidate, are never dropped: the best has
to be compared with them in the end. With folds, candidates are compared on the first fold, because another fold costs
as much as another candidate. The best one and the given settings are then compared on all folds.

In a budget of minutes, as many candidates are tried as there is time for to train the best of them to the end.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

from tqdm import tqdm

from mlx_whisper_lora.data.clip import DataError
from mlx_whisper_lora.training.callbacks import Callback
from mlx_whisper_lora.training.candidates import Candidate, Score
from mlx_whisper_lora.training.evaluation import clip_loss
from mlx_whisper_lora.training.search_table import describe_result, describe_table
from mlx_whisper_lora.training.trials import LoadModel, Recipe, Trial


@dataclass(frozen=True)
class Rung:
    """A part of the search, after which candidates are dropped."""

    steps: int  # that a candidate is trained for, from its start
    before: int  # steps of the rung before it
    n_folds: int
    n_candidates: int  # that take part
    cost: int  # steps of all of them together


def plan_rungs(n_candidates: int, iters: int, n_folds: int) -> list[Rung]:
    """Return the rungs of a search: a quarter, a half and all of the steps on one fold, and then all folds."""
    rungs, before, left = [], 0, n_candidates
    quarter = max(iters // 4, 1)
    for steps in sorted({quarter, min(2 * quarter, iters), iters}):
        rungs.append(Rung(steps, before, 1, left, left * (steps - before)))
        before, left = steps, max(math.ceil(left / 2), 2)
    if n_folds > 1:
        rungs.append(Rung(iters, 0, n_folds, 2, 2 * iters * (n_folds - 1)))
    return rungs


class Halving:
    """Trains candidates, and drops the worse ones.

    Args:
        recipes: of each fold.
        candidates: what is tried, the given settings first.
        minutes: the budget, or None.
        load_model: loads the base.
        callback: gets lines.
        save: gets all results after each score.

    Attributes:
        seconds: that all trials took, also those of a search that was cut off.
    """

    def __init__(
        self,
        recipes: Sequence[Recipe],
        candidates: list[Candidate],
        minutes: float | None,
        load_model: LoadModel,
        callback: Callback,
        save: Callable[[dict[str, Any]], None],
    ):
        self.recipes, self.candidates, self.minutes = recipes, candidates, minutes
        self.load_model, self.callback, self.save = load_model, callback, save
        self.first, self.left = candidates[0], candidates
        self.tokens = [[example.n_targets for example in each.valid_set] for each in recipes]
        self.iters = recipes[0].training.iters or 1
        self.rungs = self._plan(len(candidates))
        self.best, self.steps, self.n_folds = self.first, 0, 0  # of the last comparison

    @property
    def seconds(self) -> float:
        return sum(score.seconds for each in self.candidates for score in each.scores)

    def run(self) -> Candidate:
        """Return the best candidate."""
        for number in range(1, len(self.rungs) + 1):
            self._try_all(number, self.rungs[number - 1])
            if number == 1:
                self.rungs = self._plan(self._n_tried())
            rung = self.rungs[number - 1]
            n_folds = next((n for n in range(rung.n_folds, 0, -1) if len(self._reached(rung, n)) > 1), 0)
            if not n_folds:
                break
            self._drop(number, rung, n_folds)
        for line in (*describe_table(self.candidates, self.best, self.tokens), self._result()):
            self.callback.note(line)
        self._save()
        return self.best

    def _result(self) -> str:
        return describe_result(self.best, self.first, self.steps, self.tokens[: self.n_folds])

    def _reached(self, rung: Rung, n_folds: int) -> list[Candidate]:
        return [each for each in self.left if each.reached(rung.steps, n_folds)]

    def _try_all(self, number: int, rung: Rung) -> None:
        """Score the candidates that are left, fold by fold, as long as there is time."""
        for fold in range(1, rung.n_folds + 1):
            for candidate in self.left:
                if candidate.score_at(rung.steps, fold):
                    continue
                if late := self._late(number, rung):
                    self.callback.note(late)
                    return
                score = self._score(candidate, rung, fold)
                candidate.scores.append(score)
                self._save()
                self.callback.note(self._describe(candidate, number, score))

    def _score(self, candidate: Candidate, rung: Rung, fold: int) -> Score:
        """Train a candidate to the end of a rung, from the rung before it, and validate it."""
        start = perf_counter()
        recipe = self.recipes[fold - 1]
        trial = Trial(f"candidate{candidate.number}_fold{fold}", self._recipe(candidate, recipe), self.load_model)
        losses = None
        try:
            model = trial.train(_Skips(self.callback), rung.steps if rung.steps < self.iters else None)
            losses = [clip_loss(model, example) * example.n_targets for example in recipe.valid_set]
        except FloatingPointError as error:
            self.callback.note(f"Candidate {candidate.number} failed: {error}")
        if losses is None or rung.steps == self.iters:
            trial.remove()
        if losses is not None and not math.isfinite(sum(losses)):
            losses = None
        return Score(rung.steps, fold, losses, perf_counter() - start)

    def _recipe(self, candidate: Candidate, recipe: Recipe) -> Recipe:
        """Return how a candidate is trained: without validation clips, which score it at the end of a rung alone."""
        training = replace(
            recipe.training,
            learning_rate=candidate.learning_rate,
            steps_per_report=self.rungs[0].steps,
            steps_per_eval=self.iters,
            early_stopping=None,
            average_last=None,
            ema=None,
        )
        return replace(recipe, valid_set=[], training=training, settings=candidate.settings)

    def _drop(self, number: int, rung: Rung, n_folds: int) -> None:
        """Find the best candidate, and drop those that are not in the next rung."""
        ranked = sorted(self._reached(rung, n_folds), key=lambda each: each.loss(rung.steps, self.tokens[:n_folds]))
        self.best, self.steps, self.n_folds = ranked[0], rung.steps, n_folds
        if number == len(self.rungs):
            return
        kept = ranked[: self.rungs[number].n_candidates]
        if self.first not in kept:
            kept[-1] = self.first
        for each in self.left:
            if each not in kept:
                each.dropped_at = number
                Trial(f"candidate{each.number}_fold1", self.recipes[0], self.load_model).remove()
        self.left = sorted(kept, key=lambda each: each is not self.first)
        self._save()

    def _late(self, number: int, rung: Rung) -> str:
        """Return why there is no time for another trial, or nothing if there is."""
        if self.minutes is None or not self._steps_taken():
            return ""
        if self.seconds + self._seconds_per_step() * (rung.steps - rung.before) > 60 * self.minutes:
            return f"The {self.minutes:g} minutes are used up in rung {number} of {len(self.rungs)}"
        tried = self._n_tried()
        needed = self._seconds_per_step() * sum(each.cost for each in self._plan(tried + 1))
        if number == 1 and tried > 1 and needed > 60 * self.minutes:
            return f"In {self.minutes:g} minutes, there is time for {tried} of the {len(self.candidates)} candidates"
        return ""

    def _n_tried(self) -> int:
        return sum(bool(each.scores) for each in self.candidates)

    def _plan(self, n_candidates: int) -> list[Rung]:
        return plan_rungs(n_candidates, self.iters, len(self.recipes))

    def _steps_taken(self) -> int:
        return sum(each.steps_taken() for each in self.candidates)

    def _seconds_per_step(self) -> float:
        return self.seconds / self._steps_taken()

    def _describe(self, candidate: Candidate, number: int, score: Score) -> str:
        """Return the line for a score, with the time left."""
        steps_left = max(sum(each.cost for each in self.rungs) - self._steps_taken(), 0)
        left = steps_left * self._seconds_per_step()
        if self.minutes is not None:
            left = min(left, max(60 * self.minutes - self.seconds, 0))
        loss = sum(score.losses) / sum(self.tokens[score.fold - 1]) if score.losses else math.inf
        fold = f", fold {score.fold}" if len(self.recipes) > 1 else ""
        return (
            f"Rung {number} of {len(self.rungs)}{fold}, {score.steps} steps, candidate {candidate.number}: "
            f"loss {loss:.3f} ({candidate.flags(self.first) or 'the given settings'}), {score.seconds:.0f} s, "
            f"time left {tqdm.format_interval(left)}"
        )

    def _save(self) -> None:
        rungs = [{"steps": each.steps, "folds": each.n_folds, "candidates": each.n_candidates} for each in self.rungs]
        about: dict[str, Any] = {
            "minutes": self.minutes,
            "seconds": self.seconds,
            "rungs": rungs,
            "best": self.best.number,
        }
        candidates = [each.to_json(self.first) for each in self.candidates]
        self.save(about | {"result": self._result(), "candidates": candidates, "tokens": self.tokens})


class _Skips(Callback):
    """Passes on the clips that are skipped, and no other event of a trial."""

    def __init__(self, callback: Callback):
        self.callback = callback

    def skip(self, bad: list[DataError]) -> None:
        self.callback.skip(bad)
