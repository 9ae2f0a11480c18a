"""K-fold validation, for sets that are too small to hold out a tenth.

Each clip is transcribed by an adapter that was not trained on it, nor on another clip of its speaker. The scores of all
clips together say how well such adapters do, and the steps at which they were best say for how long to train one on all
clips. That one is not measured: it had a little more to learn from than those that were.
"""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from mlx_whisper_lora.adapters.methods import method_name
from mlx_whisper_lora.data.ahead import decodable
from mlx_whisper_lora.data.clip import DataError
from mlx_whisper_lora.data.dataset import Example
from mlx_whisper_lora.data.folds import Folds, deal_folds
from mlx_whisper_lora.training.callbacks import Callback, Evaluated, TrialsStart
from mlx_whisper_lora.training.distributed import World
from mlx_whisper_lora.training.evaluation import Evaluation, score, usual_normalizer
from mlx_whisper_lora.training.finetune import late_errors
from mlx_whisper_lora.training.results import Result
from mlx_whisper_lora.training.trials import (
    LoadModel,
    Recipe,
    Trial,
    read_results,
    remove_trials,
    write_results,
)
from mlx_whisper_lora.whisper.option import OptionError


def fold_recipes(recipe: Recipe, count: int, callback: Callback) -> list[Recipe]:
    """Return the recipe of each fold: validated on its clips, and trained on all others.

    Args:
        recipe: has the clips, in both of its sets.
        count: the number of folds.
        callback: gets a line that says how the clips were dealt.

    Raises:
        OptionError: the clips cannot be dealt so, or an option does not go with folds.
        DataError: a clip cannot be used.
    """
    for name in ("early_stopping", "average_last"):
        if getattr(recipe.training, name) is not None:
            raise OptionError(f"`folds` choose the number of steps themselves: leave out `{name}`")
    errors = late_errors(recipe.options, callback, World())
    examples = decodable([*recipe.train_set, *recipe.valid_set], errors)
    folds = _deal(examples, count, recipe.training.seed)
    callback.note(f"{len(set(map(id, examples)))} clips in {count} folds: {folds.note}")
    options = replace(recipe.options, normalizer=recipe.options.normalizer or usual_normalizer(examples))
    training = replace(recipe.training.resolve(len(examples), method_name(recipe.settings)), val_clips=-1)
    recipes = []
    for places in folds.places:
        held_out = {id(examples[place]): examples[place] for place in places}  # once, whatever its weight
        others = [each for each in examples if id(each) not in held_out]
        recipes.append(
            replace(recipe, train_set=others, valid_set=[*held_out.values()], options=options, training=training)
        )
    return recipes


def _deal(examples: Sequence[Example], count: int, seed: int) -> Folds:
    clips = [example.clip for example in examples if example.clip]
    try:
        return deal_folds(clips, count, seed)
    except DataError as error:
        raise OptionError(f"`folds` {count}: {error}") from None


@dataclass
class _Fold:
    """The evaluations of a fold, by the steps before them. The first is that of the base."""

    evaluations: dict[int, Evaluation] = field(default_factory=dict)
    done: bool = False

    def best_step(self, score: str) -> int:
        """Return the steps after which a score of SCORES was the lowest."""
        return min(self.evaluations, key=lambda step: self.evaluations[step].order(score))

    def to_json(self, texts: list[dict[str, str]]) -> dict[str, Any]:
        evaluations = [{"step": step, **asdict(result)} for step, result in self.evaluations.items()]
        return {"done": self.done, "clips": texts, "evaluations": evaluations}

    @staticmethod
    def from_json(stored: dict[str, Any]) -> "_Fold":
        found = {each.pop("step"): Evaluation.from_json(each) for each in stored["evaluations"]}
        return _Fold(found, stored["done"])


def pooled_scores(examples: Sequence[Sequence[Example]], results: Sequence[Evaluation]) -> Evaluation:
    """Return the scores of the clips of all folds together, each by the model that was not trained on it.

    Args:
        examples: the clips of each fold.
        results: the evaluation of each fold.
    """
    sizes = [sum(example.n_targets for example in fold) for fold in examples]
    loss = sum(result.loss * size for result, size in zip(results, sizes, strict=True)) / max(sum(sizes), 1)
    hypotheses = [text for result in results for text in result.hypotheses]
    return score([example for fold in examples for example in fold], hypotheses, loss, results[0].normalizer)


def cross_validate(recipe: Recipe, count: int, load_model: LoadModel, callback: Callback) -> Recipe | None:
    """Train once for each fold, and report the scores of all clips. They are kept in adapters_folds.json.

    Args:
        recipe: what is trained.
        count: the number of folds.
        load_model: loads the base.
        callback: gets lines.

    Returns:
        How to train on all clips, or None if the base was better than most adapters.

    Raises:
        OptionError: as `fold_recipes` raises it, or results on disk are damaged.
    """
    path = recipe.adapter_file.with_name(f"{recipe.adapter_file.stem}_folds.json")
    recipes = fold_recipes(recipe, count, callback)
    training = recipes[0].training
    callback.trials(
        TrialsStart(recipe.options, recipe.settings, replace(training, val_clips=recipe.training.val_clips))
    )
    digest = replace(recipe, training=training).digest(load_model(), count)
    found = read_results(path, digest, recipe.options.resume, callback)
    if not found:
        remove_trials(recipe.adapter_file, "fold")
    folds = _read_folds(path, found, count)
    texts = [[_describe(example) for example in each.valid_set] for each in recipes]
    summary: dict[str, Any] = {"folds": count, "scores": None, "scores_of_base": None}

    def save() -> None:
        each = [fold.to_json(names) for fold, names in zip(folds, texts, strict=True)]
        write_results(path, digest, summary | {"each": each})

    for number, (each, fold) in enumerate(zip(recipes, folds, strict=True), 1):
        if not fold.done:
            trial = Trial(f"fold{number}", each, load_model)
            trial.train(_Watcher(f"Fold {number} of {count}", fold, save, callback))
            fold.done = True
            save()
            trial.remove()
        step = fold.best_step(training.best_by)
        callback.note(f"Fold {number} of {count}: the best after {step} steps, {_show(fold.evaluations[step])}")
    steps = statistics.median_low(fold.best_step(training.best_by) for fold in folds)
    sets = [each.valid_set for each in recipes]
    scores, base = (pooled_scores(sets, [fold.evaluations[at] for fold in folds]) for at in (steps, 0))
    summary |= {"scores": {"steps": steps, **_rates(scores)}, "scores_of_base": _rates(base)}
    save()
    remove_trials(recipe.adapter_file, "fold")
    callback.note(f"All clips, by models that were not trained on them (95 % intervals; {path}):")
    callback.note(f"  the base: loss {base.loss:.3f}, {base.describe()}")
    if steps:
        callback.note(f"  adapters, {steps} steps: loss {scores.loss:.3f}, {scores.describe()}")
    else:
        callback.note("In most folds, no adapter was better than the base: none is trained on all clips")
        return None
    callback.note(f"Training on all clips for {steps} steps, the median of the best of the folds")
    everything = replace(recipe, train_set=[*recipe.train_set, *recipe.valid_set], valid_set=[])
    return replace(everything, training=replace(training, iters=steps))


def _read_folds(path: Path, found: dict[str, Any], count: int) -> list[_Fold]:
    try:
        return [_Fold.from_json(each) for each in found["each"]] if found else [_Fold() for _ in range(count)]
    except (KeyError, TypeError, AttributeError):
        raise OptionError(f"{path}: not the results of folds, or damaged: remove it") from None


class _Watcher(Callback):
    """Keeps the evaluations of a fold, and gives a line for each."""

    def __init__(self, title: str, fold: _Fold, save: Callable[[], None], callback: Callback):
        self.title, self.fold, self.save_fold, self.callback = title, fold, save, callback

    def skip(self, bad: list[DataError]) -> None:
        self.callback.skip(bad)

    def evaluation(self, evaluated: Evaluated) -> None:
        assert isinstance(evaluated.result, Evaluation)  # folds are for transcripts
        self.fold.evaluations[evaluated.iteration] = evaluated.result
        self.save_fold()
        after = f"after {evaluated.iteration} steps" if evaluated.iteration else "the base"
        self.callback.note(f"{self.title}, {after}: {_show(evaluated.result)}")


def _describe(example: Example) -> dict[str, str]:
    """Return the name, the speaker and the text of a clip."""
    clip = example.clip
    return {"name": clip.name if clip else "", "speaker": clip.speaker or "" if clip else "", "text": example.text}


def _show(result: Result) -> str:
    return f"loss {result.loss:.3f}, {result.summary()}"


def _rates(scores: Evaluation) -> dict[str, Any]:
    """Return scores for the file, without the transcripts, which it has by fold."""
    return {name: value for name, value in asdict(scores).items() if name != "hypotheses"}
