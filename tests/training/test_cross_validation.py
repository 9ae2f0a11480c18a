"""K-fold validation of few clips."""

import json
from dataclasses import replace

import pytest

from mlx_whisper_lora.adapters.adapter_file import read_adapter_config
from mlx_whisper_lora.training.callbacks import Callback
from mlx_whisper_lora.training.cross_validation import cross_validate, fold_recipes, pooled_scores
from mlx_whisper_lora.training.evaluation import Evaluation
from mlx_whisper_lora.training.metrics import character_error_rate, word_error_interval, word_error_rate
from mlx_whisper_lora.whisper.option import OptionError
from mlx_whisper_lora.whisper.text.normalizers import NORMALIZERS
from tests.support.trials import Notes, demo_recipe, load_demo


def test_each_fold_is_validated_on_clips_and_speakers_that_it_was_not_trained_on(tmp_path):
    recipe = demo_recipe(tmp_path)
    folds = fold_recipes(recipe, 4, Callback())
    everything = [*recipe.train_set, *recipe.valid_set]
    for fold in folds:
        assert not {each.clip.speaker for each in fold.train_set} & {each.clip.speaker for each in fold.valid_set}
        assert len(fold.train_set) + len(fold.valid_set) == len(everything)
    held_out = [id(each) for fold in folds for each in fold.valid_set]
    assert sorted(held_out) == sorted(map(id, everything))


def test_a_clip_that_trains_twice_is_validated_once(tmp_path):
    recipe = demo_recipe(tmp_path)
    folds = fold_recipes(replace(recipe, train_set=[*recipe.train_set] * 2), 4, Callback())
    assert sorted(len(fold.valid_set) for fold in folds) == [2, 2, 2, 2]
    assert {len(fold.train_set) for fold in folds} == {10, 12}  # without two clips twice, or the two that train once


@pytest.mark.parametrize(
    ("count", "training", "message"),
    [
        (5, {}, "folds 5: the clips have 4 speakers, and 5 folds need one each: give at most 4 folds"),
        (2, {"early_stopping": 3}, "folds choose the number of steps themselves: leave out early_stopping"),
    ],
)
def test_what_folds_cannot_do_is_one_line(count, training, message, tmp_path):
    with pytest.raises(OptionError) as error:
        fold_recipes(demo_recipe(tmp_path, **training), count, Callback())
    assert str(error.value) == message


def test_the_pooled_score_is_that_of_the_pooled_texts(tmp_path):
    folds = [fold.valid_set for fold in fold_recipes(demo_recipe(tmp_path), 2, Callback())]
    texts = [[example.text.replace("e", "a", 1) for example in fold] for fold in folds]
    results = [Evaluation(loss, 0.0, 0.0, heard, "unicode") for loss, heard in zip((1.0, 2.0), texts, strict=True)]
    scores = pooled_scores(folds, results)
    references, hypotheses = [each.text for fold in folds for each in fold], texts[0] + texts[1]
    assert scores.wer == word_error_rate(references, hypotheses) > 0
    assert scores.wer_interval == word_error_interval(references, hypotheses)
    assert scores.cer == character_error_rate(references, hypotheses)
    tokens = [sum(each.n_targets for each in fold) for fold in folds]
    assert scores.loss == pytest.approx((tokens[0] + 2 * tokens[1]) / sum(tokens))


@pytest.mark.slow
def test_the_scores_are_kept_and_the_adapter_is_trained_on_all_clips_for_the_best_steps(tmp_path):
    recipe, notes = demo_recipe(tmp_path, best_by="loss"), Notes()
    final = cross_validate(recipe, 2, load_demo, notes)
    kept = json.loads((tmp_path / "a_folds.json").read_text())
    best = [min(fold["evaluations"], key=lambda each: each["loss"])["step"] for fold in kept["each"]]
    assert final.training.iters == kept["scores"]["steps"] == min(best) > 0  # the lower one of two
    at_best = [next(each for each in fold["evaluations"] if each["step"] == min(best)) for fold in kept["each"]]
    references = [clip["text"] for fold in kept["each"] for clip in fold["clips"]]
    hypotheses = [text for each in at_best for text in each["hypotheses"]]
    assert len(references) == 8 and kept["scores"]["wer"] == word_error_rate(
        references, hypotheses, NORMALIZERS["english"]
    )
    assert not (tmp_path / "a_trials").exists()
    assert sum("the base: loss" in line for line in notes.lines) == 3  # of each fold, and of all clips

    final.train(load_demo(), Callback())
    clips = {each.audio for each in (*recipe.train_set, *recipe.valid_set)}
    assert read_adapter_config(tmp_path / "a.npz").clips == clips


@pytest.mark.slow
def test_no_adapter_is_trained_on_all_clips_if_the_base_is_better(tmp_path):
    notes = Notes()
    assert cross_validate(demo_recipe(tmp_path, best_by="loss", learning_rate=1.0), 2, load_demo, notes) is None
    assert notes.lines[-1] == "In most folds, no adapter was better than the base: none is trained on all clips"


@pytest.mark.slow
def test_a_run_that_was_cut_off_repeats_no_fold_and_goes_on_within_one(tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    whole.mkdir()
    cut.mkdir()
    cross_validate(demo_recipe(whole), 2, load_demo, Callback())
    with pytest.raises(KeyboardInterrupt):
        cross_validate(demo_recipe(cut), 2, load_demo, Notes("Fold 2 of 2, after 4 steps"))
    notes = Notes()
    cross_validate(demo_recipe(cut), 2, load_demo, notes)
    assert not any(line.startswith(("Fold 1 of 2, ", "Fold 2 of 2, the base")) for line in notes.lines)
    expected, found = (json.loads((folder / "a_folds.json").read_text()) for folder in (whole, cut))
    assert found["each"] == expected["each"] and found["scores"] == expected["scores"]

    cross_validate(demo_recipe(cut, seed=1), 2, load_demo, notes)
    assert f"{cut / 'a_folds.json'} has the results of other clips or options, and is replaced" in notes.lines
    (cut / "a_folds.json").write_text('{"each": 3')
    with pytest.raises(OptionError, match=r"a_folds\.json: not the results of trials, or damaged: remove it"):
        cross_validate(demo_recipe(cut), 2, load_demo, notes)
