"""A search as a whole: its results on disk, and the run after it."""

import json
from dataclasses import replace

import pytest

from mlx_whisper_lora.adapters.adapter_file import read_adapter_config
from mlx_whisper_lora.adapters.bitfit import BitFitConfig
from mlx_whisper_lora.training.callbacks import Callback
from mlx_whisper_lora.training.search import search, try_first
from mlx_whisper_lora.training.trial_options import TrialOptions
from mlx_whisper_lora.training.trials import Trial
from mlx_whisper_lora.whisper.option import OptionError
from tests.support.trials import Notes, demo_recipe, load_demo


def results(folder) -> dict:
    return json.loads((folder / "a_search.json").read_text())


@pytest.fixture
def trained(monkeypatch) -> list[str]:
    """Return the names of the trials that train, as they do."""
    names: list[str] = []
    train = Trial.train
    monkeypatch.setattr(Trial, "train", lambda self, *given: names.append(self.name) or train(self, *given))
    return names


@pytest.mark.slow
def test_a_search_that_was_cut_off_repeats_nothing(tmp_path, trained):
    recipe, options = demo_recipe(tmp_path, iters=4), TrialOptions(search=3)
    with pytest.raises(KeyboardInterrupt):
        search(recipe, options, load_demo, Notes("Rung 2 of 3, 2 steps, candidate 1"))
    assert trained == [f"candidate{number}_fold1" for number in (1, 2, 3, 1)]
    before = results(tmp_path)["candidates"]
    del trained[:]
    again = search(recipe, options, load_demo, Callback())
    found = results(tmp_path)
    best = found["best"]
    other = next(each["number"] for each in found["candidates"][1:] if each["dropped_at"] is None)
    assert trained == [f"candidate{number}_fold1" for number in (other, 1, other)]
    assert [each["scores"][0] for each in found["candidates"]] == [each["scores"][0] for each in before]
    assert not (tmp_path / "a_trials").exists()

    del trained[:]
    assert search(recipe, options, load_demo, Callback()).settings == again.settings and not trained
    again.train(load_demo(), Callback())
    stored = {name: tuple(each) if isinstance(each, list) else each for name, each in found_settings(found).items()}
    assert read_adapter_config(tmp_path / "a.npz").settings == replace(recipe.settings, **stored)
    assert again.training.learning_rate == found["candidates"][best - 1]["learning_rate"]


def found_settings(found: dict) -> dict:
    return found["candidates"][found["best"] - 1]["settings"]


@pytest.mark.slow
def test_the_best_settings_of_a_search_with_folds_are_measured_by_folds(tmp_path):
    recipe, notes = demo_recipe(tmp_path, iters=2, steps_per_eval=2), Notes()
    final = try_first(recipe, TrialOptions(search=2, folds=2), load_demo, notes)
    found = results(tmp_path)
    assert [[score["fold"] for score in each["scores"]] for each in found["candidates"]] == [[1, 1, 2]] * 2
    measured = json.loads((tmp_path / "a_folds.json").read_text())
    assert final is None or final.settings.rank == found_settings(found)["rank"]
    assert final is None or len(final.train_set) == 8 == sum(len(fold["clips"]) for fold in measured["each"])


def test_a_search_is_not_begun_if_it_cannot_end(tmp_path):
    recipe = demo_recipe(tmp_path)
    with pytest.raises(OptionError, match="search needs validation clips, and there are none: give folds too"):
        search(replace(recipe, valid_set=[]), TrialOptions(search=2), load_demo, Callback())
    resumed = replace(recipe, options=replace(recipe.options, resume_adapter_file="b.npz"))
    with pytest.raises(OptionError, match="folds and search start from the base: leave out resume_adapter_file"):
        try_first(resumed, TrialOptions(folds=2), load_demo, Callback())
    with pytest.raises(OptionError, match="search_minutes is for a search: give search"):
        TrialOptions(search_minutes=3)
    (tmp_path / "a_search.json").write_text("[]")
    with pytest.raises(OptionError, match=r"a_search\.json: not the results of trials, or damaged: remove it"):
        search(recipe, TrialOptions(search=2), load_demo, Callback())


@pytest.mark.slow
def test_the_search_of_a_method_without_other_settings_is_over_the_learning_rate(tmp_path):
    recipe, notes = replace(demo_recipe(tmp_path, iters=1), settings=BitFitConfig()), Notes()
    search(recipe, TrialOptions(search=2), load_demo, notes)
    assert notes.lines[0] == "The search is over the learning rate alone, as for every bitfit"
    assert next(filter(None, (each["options"] for each in results(tmp_path)["candidates"]))).startswith(
        "--learning-rate"
    )


def test_without_trials_the_run_is_the_one_asked_for(tmp_path):
    recipe = demo_recipe(tmp_path)
    assert try_first(recipe, TrialOptions(), load_demo, Callback()) is recipe
