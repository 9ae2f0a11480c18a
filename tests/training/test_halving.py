"""Which candidates a search trains, for how long, and which it drops."""

from dataclasses import replace

import numpy as np
import pytest

from mlx_whisper_lora.adapters.adapter_file import read_adapter
from mlx_whisper_lora.adapters.lora import LoRAConfig
from mlx_whisper_lora.training import halving as module
from mlx_whisper_lora.training.candidates import Candidate, Score
from mlx_whisper_lora.training.halving import Halving, plan_rungs
from mlx_whisper_lora.training.trials import Trial
from tests.support.trials import Notes, demo_recipe, load_demo


def planned(*given: int) -> list[tuple[int, int, int]]:
    return [(each.steps, each.n_folds, each.n_candidates) for each in plan_rungs(*given)]


def test_half_of_the_candidates_go_on_and_two_are_left():
    assert planned(12, 200, 1) == [(50, 1, 12), (100, 1, 6), (200, 1, 3)]
    assert planned(12, 200, 5) == [(50, 1, 12), (100, 1, 6), (200, 1, 3), (200, 5, 2)]
    assert planned(3, 2, 1) == [(1, 1, 3), (2, 1, 2)]
    assert [each.cost for each in plan_rungs(12, 200, 5)] == [600, 300, 300, 1600]


class Scripted(Halving):
    """Has the losses of candidates without training: of each one the same loss, and so on all folds."""

    def __init__(self, folder, losses: list[float], n_folds: int = 1, minutes: float | None = None, seconds: float = 1):
        recipe = demo_recipe(folder, iters=8)
        candidates = [Candidate(i, LoRAConfig(rank=i), 1e-3) for i in range(1, len(losses) + 1)]
        self.script, self.step_seconds, self.notes, self.saved = losses, seconds, Notes(), {}
        super().__init__([recipe] * n_folds, candidates, minutes, load_demo, self.notes, self.saved.update)

    def _score(self, candidate, rung, fold):
        loss = self.script[candidate.number - 1]
        seconds = self.step_seconds * (rung.steps - rung.before)
        return Score(rung.steps, fold, [loss * n for n in self.tokens[0]], seconds)

    def steps_of_each(self) -> list[int]:
        return [each.last_scores()[0] for each in self.candidates]


def test_the_worse_half_is_dropped_and_the_given_settings_never_are(tmp_path):
    halving = Scripted(tmp_path, [9, 3, 5, 4, 2, 8, 7])
    assert halving.run().number == 5
    assert halving.steps_of_each() == [
        8,
        4,
        2,
        4,
        8,
        2,
        2,
    ]  # of 7, 4 go on, and 2 of these: the best and the given settings
    assert [each.dropped_at for each in halving.candidates] == [None, 2, 1, 2, None, 1, 1]
    assert halving.notes.lines[-1] == (
        "Candidate 5 is better than the given settings after 8 steps, by 7.000 nats per token (95 % interval 7.000 to "
        "7.000 over 2 clips)"
    )
    table = [line.split()[:4] for line in halving.notes.lines[-9:-1]]
    assert table[1] == ["5", "2.000", "8", "1"] and table[2] == ["1", "9.000", "8", "1"]
    assert [row[0] for row in table[3:]] == ["2", "4", "3", "7", "6"]
    assert halving.saved["best"] == 5 and halving.saved["result"] == halving.notes.lines[-1]


def test_the_last_two_are_compared_on_all_folds(tmp_path):
    halving = Scripted(tmp_path, [4, 6, 3], n_folds=3)
    assert halving.run().number == 3
    assert [each.last_scores() for each in halving.candidates] == [(8, 3), (2, 1), (8, 3)]
    assert ", on 3 of 3 folds)" in halving.notes.lines[-1]


def test_the_given_settings_may_be_the_best(tmp_path):
    halving = Scripted(tmp_path, [1, 2, 3, 4])
    assert halving.run().number == 1
    assert halving.notes.lines[-1] == (
        "No candidate is better than the given settings, after 8 steps: training has these"
    )


def test_with_few_minutes_fewer_candidates_are_tried_but_to_the_end(tmp_path):
    """Of steps of 10 s, there are 24 in 4 minutes: 2 for each of 5 candidates, 2 more for 3, and 4 more for 2."""
    halving = Scripted(tmp_path, [5, 4, 3, 2, 1, 0, 0, 0], minutes=4, seconds=10)
    assert halving.run().number == 5
    assert halving.steps_of_each() == [8, 2, 2, 4, 8, 0, 0, 0]
    assert "In 4 minutes, there is time for 5 of the 8 candidates" in halving.notes.lines
    assert halving.seconds == 240
    assert halving.notes.lines[-2].split()[:4] == ["8", "-", "0", "0"]


def test_with_too_few_minutes_the_given_settings_are_taken(tmp_path):
    halving = Scripted(tmp_path, [2, 1], minutes=0.1, seconds=10)
    assert halving.run().number == 1
    assert "The 0.1 minutes are used up in rung 1 of 3" in halving.notes.lines
    assert halving.notes.lines[-1] == "There was no time to compare candidates: training has the given settings"


def test_training_that_fails_drops_a_candidate_and_no_more(tmp_path, monkeypatch):
    def fail(self, callback, until=None):
        raise FloatingPointError("the loss is not finite")

    halving = Scripted(tmp_path, [3, 2, 1])
    score = halving._score
    with_failure = lambda candidate, *where: (  # noqa: E731
        Halving._score(halving, candidate, *where) if candidate.number == 3 else score(candidate, *where)
    )
    monkeypatch.setattr(Trial, "train", fail)
    monkeypatch.setattr(halving, "_score", with_failure)
    assert halving.run().number == 2
    assert "Candidate 3 failed: the loss is not finite" in halving.notes.lines


@pytest.mark.slow
def test_a_candidate_that_paused_ends_as_one_that_did_not(tmp_path, monkeypatch):
    """At each rung, and with a new model. The seconds do not matter."""
    kept = {}
    remove = Trial.remove

    def keep(self):
        if self.file.exists():
            kept[self.name] = read_adapter(self.file).arrays
        remove(self)

    monkeypatch.setattr(module.Trial, "remove", keep)
    recipe = demo_recipe(tmp_path)
    candidates = [Candidate(i, LoRAConfig(rank=2, dropout=0.1, layers=i), 0.01) for i in (1, 2)]
    Halving([recipe], candidates, None, load_demo, Notes(), lambda results: None).run()
    assert [each.last_scores() for each in candidates] == [(8, 1)] * 2
    for each in candidates:
        whole = replace(recipe.training, steps_per_report=2, steps_per_eval=8)
        options = replace(recipe.options, adapter_file=str(tmp_path / f"{each.number}.npz"))
        replace(recipe, settings=each.settings, training=whole, options=options, valid_set=[]).train(
            load_demo(), Notes()
        )
        expected, found = read_adapter(tmp_path / f"{each.number}.npz").arrays, kept[f"candidate{each.number}_fold1"]
        assert all(np.array_equal(expected[name], found[name]) for name in expected)
