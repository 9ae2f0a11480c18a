"""The candidates of a search: settings to train with, and how well they did."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from random import Random
from typing import Any

from mlx_whisper_lora.adapters.methods import METHODS, method_name
from mlx_whisper_lora.training.metrics import Interval, ratio_interval
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.option import flag

_RATE_RANGE = 2  # a learning rate is at most so many times doubled or halved


@dataclass(frozen=True)
class Score:
    """The loss of a candidate on the validation clips of a fold."""

    steps: int  # of training before it
    fold: int  # from 1
    losses: list[float] | None  # of each clip, in nats, summed over its tokens. None if training failed.
    seconds: float  # that training, from the score before, and the validation took


@dataclass
class Candidate:
    """Settings to train with, and how well they did. The first candidate has those that were given."""

    number: int  # from 1
    settings: Any
    learning_rate: float
    scores: list[Score] = field(default_factory=list)
    dropped_at: int | None = None  # the rung

    def score_at(self, steps: int, fold: int) -> Score | None:
        """Return the score on a fold after some steps, if there is one."""
        return next((each for each in self.scores if (each.steps, each.fold) == (steps, fold)), None)

    def reached(self, steps: int, n_folds: int) -> bool:
        """Return whether there is a score on each of the first folds after some steps."""
        return all(self.score_at(steps, fold) for fold in range(1, n_folds + 1))

    def last_scores(self) -> tuple[int, int]:
        """Return the most steps that there are scores after, and the number of first folds that have them."""
        steps = max((each.steps for each in self.scores), default=0)
        n_folds = 0
        while self.score_at(steps, n_folds + 1):
            n_folds += 1
        return steps, n_folds

    def losses(self, steps: int, n_folds: int) -> list[float]:
        """Return the losses of all clips of the first folds. They are infinite in a fold in which training failed."""
        return [loss for fold in range(1, n_folds + 1) for loss in self._fold_losses(steps, fold)]

    def loss(self, steps: int, tokens: Sequence[Sequence[int]]) -> float:
        """Return the loss on the first folds, in nats per token.

        Args:
            steps: of training before it.
            tokens: the number of tokens of each clip of these folds.
        """
        return sum(self.losses(steps, len(tokens))) / sum(map(sum, tokens))

    def fold_loss(self, steps: int, fold: int) -> float:
        """Return the loss on a fold, in nats."""
        return sum(self._fold_losses(steps, fold))

    def _fold_losses(self, steps: int, fold: int) -> list[float]:
        score = self.score_at(steps, fold)
        return score.losses if score and score.losses else [math.inf]

    def steps_taken(self) -> int:
        """Return the steps that were trained, in all folds."""
        return sum({each.fold: each.steps for each in self.scores}.values())

    def flags(self, first: "Candidate") -> str:
        """Return what distinguishes it from the first candidate, as options of the command line."""
        if self is first:
            return ""
        prefix = METHODS[method_name(self.settings)].prefix
        own = {prefix + each.name: getattr(self.settings, each.name) for each in fields(self.settings)}
        other = {prefix + each.name: getattr(first.settings, each.name) for each in fields(first.settings)}
        differing = {name: value for name, value in own.items() if value != other[name]}
        texts = {
            name: ",".join(value) if isinstance(value, tuple) else str(value)
            for name, value in ({"learning_rate": f"{self.learning_rate:g}"} | differing).items()
        }
        return " ".join(f"{flag(name)} {text}" for name, text in texts.items())

    def to_json(self, first: "Candidate") -> dict[str, Any]:
        """Return the candidate as it is kept."""
        about = {"number": self.number, "options": self.flags(first), "learning_rate": self.learning_rate}
        kept = {"settings": asdict(self.settings), "scores": [asdict(each) for each in self.scores]}
        return about | {"dropped_at": self.dropped_at} | kept


def draw_candidates(settings: Any, learning_rate: float, model: Whisper, count: int, seed: int) -> list[Candidate]:
    """Return candidates: the given settings, and others at random.

    Args:
        settings: the configuration of a method, which says what else there is.
        learning_rate: the given one. Others are up to four times as large or small.
        model: the base.
        count: the number of candidates.
        seed: the same one gives the same candidates.
    """
    random = Random(seed)
    found = [(settings, learning_rate)]
    while len(found) < count:
        rate = float(f"{learning_rate * 2 ** random.uniform(-_RATE_RANGE, _RATE_RANGE):.3g}")
        drawn = METHODS[method_name(settings)].vary(model, settings, random), rate
        if drawn not in found:
            found.append(drawn)
    return [Candidate(number, *each) for number, each in enumerate(found, 1)]


@dataclass(frozen=True)
class Comparison:
    """How much lower the loss of a candidate is than that of the first one, on the same clips."""

    gain: float  # nats per token
    interval: Interval  # of 95 %, by a bootstrap over clips
    n_clips: int


def compare(candidate: Candidate, first: Candidate, steps: int, tokens: Sequence[Sequence[int]]) -> Comparison | None:
    """Compare a candidate with the first one. Return None if the training of one failed.

    Args:
        candidate, first: both have scores on all folds.
        steps: after how many they are compared.
        tokens: the number of tokens of each clip of each fold.
    """
    sizes = [size for fold in tokens for size in fold]
    own, other = (each.losses(steps, len(tokens)) for each in (candidate, first))
    if not math.isfinite(sum(own) + sum(other)):
        return None
    gains = [theirs - ours for ours, theirs in zip(own, other, strict=True)]
    return Comparison(sum(gains) / sum(sizes), ratio_interval(gains, sizes), len(sizes))
