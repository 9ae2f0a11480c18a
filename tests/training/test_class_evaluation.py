"""The scores of a classifier."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from mlx_whisper_lora.training.class_evaluation import ClassEvaluation, class_rates, evaluate_scores, fit_temperature

CLASSES = ("a", "b", "c")


def evaluated(n: int = 60, temperature: float | None = 1.0) -> ClassEvaluation:
    random = np.random.default_rng(0)
    labels = [i % 3 for i in range(n)]
    scores = random.normal(size=(n, 3)) + 1.5 * np.eye(3)[labels]
    seconds = [(2.0, 10.0, 25.0)[i % 3] for i in range(n)]
    return evaluate_scores(scores, labels, CLASSES, seconds, [str(i // 6) for i in range(n)], temperature)


def test_rates_of_a_confusion_matrix():
    # Of 10, 5 and 5 clips, 8, 3 and 1 are right; 9, 6 and 5 are named so. As scikit-learn computes them.
    rates = class_rates(np.array([[8, 1, 1], [0, 3, 2], [1, 2, 2]]))
    assert rates["accuracy"] == pytest.approx(100 * 13 / 20)
    assert rates["balanced_accuracy"] == pytest.approx(100 * (0.8 + 0.6 + 0.4) / 3)
    assert rates["macro_f1"] == pytest.approx(100 * (16 / 19 + 6 / 11 + 4 / 10) / 3)
    without = class_rates(np.array([[8, 0, 2], [0, 0, 0], [1, 0, 4]]))  # no clip of the second class
    assert without["balanced_accuracy"] == pytest.approx(100 * (0.8 + 0.8) / 2)


def test_intervals_draw_speakers_and_not_clips():
    result = evaluated()
    low, high = result.intervals()["accuracy"]
    assert low < result.numbers["accuracy"] < high
    each = {group: [] for group in result.groups}
    for group, label, named in zip(result.groups, result.labels, result.hypotheses, strict=True):
        each[group].append(100 * (label == named))
    means, random = np.array([np.mean(right) for right in each.values()]), np.random.default_rng(1)
    draws = random.choice(means, (4000, len(means))).mean(axis=1)  # all speakers have as many clips
    assert (low, high) == pytest.approx(np.percentile(draws, [2.5, 97.5]), abs=1.5)


def test_the_temperature_makes_probabilities_true():
    random = np.random.default_rng(0)
    scores = random.normal(size=(20_000, 3))
    true = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    labels = np.array([random.choice(3, p=row) for row in true])
    assert fit_temperature(4 * scores, labels) == pytest.approx(4, rel=0.05)
    result = evaluate_scores(4 * scores, labels.tolist(), CLASSES, [1.0] * len(labels), [None] * len(labels))
    assert result.calibration_error(result.temperature) < 2 < 20 < result.calibration_error(1.0)


def test_probabilities_of_few_clips_that_are_all_named_rightly_are_not_certain():
    result = evaluate_scores(50 * np.eye(3)[[0, 1, 2] * 4], [0, 1, 2] * 4, CLASSES, [1.0] * 12, [None] * 12)
    assert np.exp(-result.loss) == pytest.approx(13 / 14, abs=1e-3)


def test_clips_are_counted_by_their_length():
    found = evaluated().by_duration()
    assert {span: count for span, (count, _) in found.items()} == {(0, 5): 20, (5, 20): 20, (20, float("inf")): 20}
    total = sum(count * accuracy for count, accuracy in found.values()) / 60
    assert total == pytest.approx(evaluated().numbers["accuracy"])


def test_a_stored_result_is_read_back():
    result = evaluated(temperature=None)
    assert ClassEvaluation.from_json(json.loads(json.dumps(asdict(result)))) == result
