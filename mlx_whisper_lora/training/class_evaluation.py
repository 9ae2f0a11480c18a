"""How well a model names the classes of clips."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from mlx_whisper_lora.adapters.adapter_file import AdapterConfig
from mlx_whisper_lora.training.metrics import RESAMPLES, Interval
from mlx_whisper_lora.training.results import Result

CLASS_SCORES = ("balanced_accuracy", "accuracy", "macro_f1")
DURATIONS = ((0.0, 5.0), (5.0, 20.0), (20.0, float("inf")))  # seconds, as in published results
_BINS = 15  # of the calibration error
_TEMPERATURES = (0.05, 20.0)


@dataclass(frozen=True)
class ClassEvaluation(Result):
    """How well a model names the classes of clips. Numbers without a unit are in per cent."""

    loss: float  # nats per clip
    classes: tuple[str, ...]
    labels: list[str]  # the classes of the clips
    hypotheses: list[str]  # those that the model names
    scores: list[list[float]]  # of each clip, for each class, before the temperature
    seconds: list[float]  # the lengths of the clips
    groups: list[str]  # what the bootstrap draws: the speakers of the clips, if all are known, or else the clips
    temperature: float  # with which the probabilities of these clips are true, or that of the adapter

    @staticmethod
    def from_json(stored: dict[str, Any]) -> "ClassEvaluation":
        """Return what `asdict` made a dictionary of, after JSON.

        Raises:
            KeyError, TypeError: it is not such a dictionary.
        """
        return ClassEvaluation(**stored | {"classes": tuple(stored["classes"])})

    @property
    def confusion(self) -> np.ndarray:
        """The number of clips of each class (rows) that were taken for each class (columns)."""
        return _confusions(self).sum(axis=0)

    @property
    def numbers(self) -> dict[str, float]:
        return {"loss": self.loss, **class_rates(self.confusion)}

    @property
    def costs(self) -> dict[str, float]:
        numbers = self.numbers
        return {name: -numbers[name] for name in CLASS_SCORES} | {"loss": self.loss}

    def intervals(self) -> dict[str, Interval]:
        """Return the intervals of 95 % of the rates, by a bootstrap over the groups."""
        counts = _confusions(self)
        draws = np.random.default_rng(0).multinomial(len(counts), np.full(len(counts), 1 / len(counts)), RESAMPLES)
        drawn = [class_rates(confusion) for confusion in np.tensordot(draws, counts, 1)]
        bounds = {name: np.percentile([each[name] for each in drawn], [2.5, 97.5]) for name in CLASS_SCORES}
        return {name: Interval(float(low), float(high)) for name, (low, high) in bounds.items()}

    def summary(self) -> str:
        numbers = self.numbers
        return ", ".join(f"{_shown(name)} {numbers[name]:.2f} %" for name in CLASS_SCORES)

    def describe(self) -> str:
        numbers, intervals = self.numbers, self.intervals()
        return ", ".join(
            f"{_shown(name)} {numbers[name]:.2f} % ({intervals[name].low:.2f} to {intervals[name].high:.2f})"
            for name in CLASS_SCORES
        )

    def recorded(self, config: AdapterConfig, base: Result | None) -> AdapterConfig:
        if config.classifier is None:
            return config
        return replace(config, classifier=replace(config.classifier, temperature=self.temperature))

    def by_duration(self) -> dict[tuple[float, float], tuple[int, float]]:
        """Return the number of clips and the accuracy for each of DURATIONS that there are clips of."""
        found = {}
        for low, high in DURATIONS:
            inside = [i for i, length in enumerate(self.seconds) if low <= length < high]
            if inside:
                right = sum(self.labels[i] == self.hypotheses[i] for i in inside)
                found[low, high] = len(inside), 100 * right / len(inside)
        return found

    def calibration_error(self, temperature: float) -> float:
        """Return how far the probability of the named class is from the share of right ones (Guo et al., 2017).

        Args:
            temperature: what scores are divided by.
        """
        probs = softmax(np.array(self.scores) / temperature, axis=1)
        sure, right = probs.max(axis=1), np.array([a == b for a, b in zip(self.labels, self.hypotheses, strict=True)])
        bins = np.minimum((sure * _BINS).astype(int), _BINS - 1)
        gaps = [abs((right[bins == each] - sure[bins == each]).sum()) for each in range(_BINS)]
        return 100 * sum(gaps) / len(right)

    def to_json(self) -> dict[str, Any]:
        """Return the numbers for a file that people and programs read."""
        numbers = {"loss": round(self.loss, 4)} | {name: round(self.numbers[name], 2) for name in CLASS_SCORES}
        intervals = {name: [round(bound, 2) for bound in each] for name, each in self.intervals().items()}
        sure = softmax(np.array(self.scores) / self.temperature, axis=1).max(axis=1).tolist()
        clips = zip(self.labels, self.hypotheses, sure, strict=True)
        return {
            **numbers,
            "intervals": intervals,
            "classes": self.classes,
            "confusion": self.confusion.tolist(),
            "temperature": self.temperature,
            "by_seconds": [[low, high, *found] for (low, high), found in self.by_duration().items()],
            "clips": [{"label": label, "named": named, "probability": round(each, 6)} for label, named, each in clips],
        }


def evaluate_scores(
    scores: np.ndarray,
    labels: Sequence[int],
    classes: tuple[str, ...],
    seconds: Sequence[float],
    speakers: Sequence[str | None],
    temperature: float | None = None,
) -> ClassEvaluation:
    """Compare the scores of clips with their classes.

    Args:
        scores: shape (N, C).
        labels: the number of the class of each clip.
        classes: their names.
        seconds: the length of each clip.
        speakers: of each clip, or None if it is not known.
        temperature: what scores are divided by. By default, the one with which their probabilities are true.
    """
    right = np.array(labels)
    temperature = temperature or fit_temperature(scores, right)
    losses = -log_softmax(scores / temperature, axis=1)[np.arange(len(right)), right]
    known = all(speaker is not None for speaker in speakers)
    return ClassEvaluation(
        loss=float(losses.mean()),
        classes=classes,
        labels=[classes[each] for each in labels],
        hypotheses=[classes[each] for each in scores.argmax(axis=1)],
        scores=[[round(float(number), 5) for number in row] for row in scores],
        seconds=[*map(float, seconds)],
        groups=[str(speaker) if known else str(i) for i, speaker in enumerate(speakers)],
        temperature=temperature,
    )


def fit_temperature(scores: np.ndarray, labels: np.ndarray) -> float:
    """Return what scores are to be divided by so that their probabilities are true.

    It has the lowest cross-entropy (Guo et al., "On Calibration of Modern Neural Networks", 2017), as if of N + 2 clips
    one was named wrongly (Platt, "Probabilistic Outputs for Support Vector Machines", 1999): where all N are named
    rightly, nothing shows how sure the next name is.

    Args:
        scores: shape (N, C).
        labels: the numbers of the classes, shape (N,).
    """

    targets = np.full(scores.shape, 1 / (len(labels) + 2) / (scores.shape[1] - 1))
    targets[np.arange(len(labels)), labels] = (len(labels) + 1) / (len(labels) + 2)

    def loss(logarithm: float) -> float:
        return -float((targets * log_softmax(scores / np.exp(logarithm), axis=1)).sum(axis=1).mean())

    low, high = np.log(_TEMPERATURES)
    return round(float(np.exp(minimize_scalar(loss, bounds=(low, high), method="bounded").x)), 4)


def class_rates(confusion: np.ndarray) -> dict[str, float]:
    """Return accuracy, balanced accuracy and macro F1 of a confusion matrix, in per cent.

    Classes without clips do not count.
    """
    right, true, named = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    there = true > 0
    recall = right[there] / true[there]
    f1 = 2 * right[there] / (true[there] + named[there])
    rates = (recall.mean(), right.sum() / true.sum(), f1.mean())
    return {name: 100 * float(rate) for name, rate in zip(CLASS_SCORES, rates, strict=True)}


def _confusions(result: ClassEvaluation) -> np.ndarray:
    """Return the confusion matrix of each group, shape (G, C, C)."""
    numbers = {name: i for i, name in enumerate(result.classes)}
    groups = {name: i for i, name in enumerate(dict.fromkeys(result.groups))}
    counts = np.zeros((len(groups), len(numbers), len(numbers)), np.int64)
    for group, label, named in zip(result.groups, result.labels, result.hypotheses, strict=True):
        counts[groups[group], numbers[label], numbers[named]] += 1
    return counts


def _shown(name: str) -> str:
    return name.replace("_", " ").replace("f1", "F1")
