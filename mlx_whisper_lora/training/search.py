"""A search for the settings to train with: candidates at random, by successive halving."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlx_whisper_lora.adapters.methods import method_name
from mlx_whisper_lora.data.ahead import decodable
from mlx_whisper_lora.training.callbacks import Callback, TrialsStart
from mlx_whisper_lora.training.candidates import Candidate, Score, draw_candidates
from mlx_whisper_lora.training.cross_validation import cross_validate, fold_recipes
from mlx_whisper_lora.training.distributed import World
from mlx_whisper_lora.training.finetune import late_errors
from mlx_whisper_lora.training.halving import Halving
from mlx_whisper_lora.training.trial_options import TrialOptions
from mlx_whisper_lora.training.trials import (
    LoadModel,
    Recipe,
    check_trials,
    final_run,
    read_results,
    remove_trials,
    write_results,
)
from mlx_whisper_lora.training.valid_sets import sample_clips
from mlx_whisper_lora.whisper.option import OptionError


def try_first(recipe: Recipe, options: TrialOptions, load_model: LoadModel, callback: Callback) -> Recipe | None:
    """Do the trials that are asked for: a search, and then folds with its best settings.

    Args:
        recipe: of the run that is asked for.
        options: what is tried.
        load_model: loads the base.
        callback: gets lines.

    Returns:
        The recipe of the run after the trials, or None if no adapter is worth it.

    Raises:
        OptionError: as `check_trials`, `search` and `cross_validate` raise it.
        OSError: a file cannot be written.
    """
    if not (options.search or options.folds):
        return recipe
    check_trials(recipe)
    if options.search:
        recipe = search(recipe, options, load_model, callback)
    chosen = cross_validate(recipe, options.folds, load_model, callback) if options.folds else recipe
    return final_run(chosen) if chosen else None


def search(recipe: Recipe, options: TrialOptions, load_model: LoadModel, callback: Callback) -> Recipe:
    """Search for the settings to train with. The results are kept in adapters_search.json.

    Args:
        recipe: the first candidate.
        options: the number of candidates, the minutes, and the folds.
        load_model: loads the base.
        callback: gets lines.

    Returns:
        The recipe with the best settings.

    Raises:
        OptionError: there are no validation clips, `fold_recipes` raises it, or results on disk are damaged.
    """
    recipes = _recipes(recipe, options, callback)
    training = recipes[0].training
    callback.trials(TrialsStart(recipe.options, recipe.settings, training))
    model = load_model()
    rate = training.learning_rate or 0.0
    candidates = draw_candidates(recipe.settings, rate, model, options.search or 0, training.seed)
    if all(each.settings == recipe.settings for each in candidates):
        callback.note(f"The search is over the learning rate alone, as for every {method_name(recipe.settings)}")
    digest = replace(recipes[0], valid_set=recipe.valid_set).digest(model, options.folds, candidates)
    del model
    path = recipe.adapter_file.with_name(f"{recipe.adapter_file.stem}_search.json")
    found = read_results(path, digest, recipe.options.resume, callback)
    if not found:
        remove_trials(recipe.adapter_file, "candidate")
    _restore(path, found, candidates)

    def save(results: dict[str, Any]) -> None:
        write_results(path, digest, results)

    halving = Halving(recipes, candidates, options.search_minutes, load_model, callback, save)
    best = halving.run()
    remove_trials(recipe.adapter_file, "candidate")
    callback.note(f"The search took {halving.seconds / 60:.1f} minutes. Its table is in {path}")
    training = replace(recipe.training, learning_rate=best.learning_rate)
    return replace(recipe, settings=best.settings, training=training)


def _recipes(recipe: Recipe, options: TrialOptions, callback: Callback) -> list[Recipe]:
    """Return the recipe of each fold. Without folds, there is one, with the validation clips of the run."""
    if options.folds:
        return fold_recipes(recipe, options.folds, callback)
    training = recipe.training.resolve(len(recipe.train_set), method_name(recipe.settings))
    errors = late_errors(recipe.options, callback, World())
    valid_set = decodable(sample_clips(recipe.valid_set, training.val_clips), errors)
    if not valid_set:
        raise OptionError("`search` needs validation clips, and there are none: give `folds` too")
    return [replace(recipe, valid_set=valid_set, training=training)]


def _restore(path: Path, found: dict[str, Any], candidates: Sequence[Candidate]) -> None:
    """Give candidates the scores that were kept. Which ones are dropped follows from these."""
    try:
        for each in found.get("candidates", []):
            candidates[each["number"] - 1].scores = [Score(**score) for score in each["scores"]]
    except (KeyError, TypeError, IndexError, AttributeError):
        raise OptionError(f"{path}: not the results of a search, or damaged: remove it") from None
