"""Trial runs, which show how to train before the run itself. Folds and a search are made of them.

Their files are in a folder beside the adapter (adapters.npz -> adapters_trials/), which is removed at the end. Results
are kept in a JSON file, so that a command that was cut off does not repeat them.
"""

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import Any

from mlx_whisper_lora.adapters.adapter_file import Base
from mlx_whisper_lora.adapters.new_language import NewLanguage
from mlx_whisper_lora.data.augmentation.options import AugmentationOptions
from mlx_whisper_lora.data.dataset import Example
from mlx_whisper_lora.training.adapter_places import check_places
from mlx_whisper_lora.training.callbacks import Callback, RunEnd, StepReport, all_of
from mlx_whisper_lora.training.distributed import World
from mlx_whisper_lora.training.finetune import finetune
from mlx_whisper_lora.training.options import TrainingOptions
from mlx_whisper_lora.training.run_options import ADAPTER_FILE, RunOptions
from mlx_whisper_lora.training.run_state import digest_of, read_state, state_file
from mlx_whisper_lora.whisper.atomic_files import atomic_write
from mlx_whisper_lora.whisper.checkpoints.hub import BASE
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.option import OptionError

LoadModel = Callable[[], Whisper]  # returns the base without an adapter


@dataclass(frozen=True)
class Recipe:
    """What a run of training is made of, besides the model. The fields are arguments of `finetune`."""

    train_set: Sequence[Example]
    valid_set: Sequence[Example]
    options: RunOptions
    training: TrainingOptions
    settings: Any
    augmentation: AugmentationOptions
    new_language: NewLanguage | None
    watched: Mapping[str, Sequence[Example]] = field(default_factory=dict)

    @property
    def adapter_file(self) -> Path:
        """The file for the best adapter."""
        return Path(self.options.adapter_file or ADAPTER_FILE)

    def train(self, model: Whisper, callback: Callback) -> RunEnd:
        """Call `finetune`."""
        return finetune(
            model,
            self.train_set,
            self.valid_set,
            self.options,
            self.training,
            self.settings,
            callback,
            self.augmentation,
            self.new_language,
            self.watched,
        )

    def digest(self, model: Whisper, *others: Any) -> str:
        """Hash what decides the results of trials: the plain model, clips, options, and what else is given."""
        base = Base.of(model, self.options.model or BASE).fingerprint
        scoring = (self.options.transcription, self.options.normalizer, self.options.task, self.new_language)
        how = (self.training, self.settings, self.augmentation, base, scoring, others)
        return digest_of(self.train_set, self.valid_set, *how)


def check_trials(recipe: Recipe) -> None:
    """Check that a run may begin with trials.

    Raises:
        OptionError: the run is one of several processes, starts from an adapter, or would replace one of another run.
        OSError: an adapter file cannot be written.
    """
    if World().size > 1:
        raise OptionError("`folds` and `search` are for one process: leave them out, or do without mlx.launch")
    if recipe.options.resume_adapter_file is not None:
        raise OptionError(
            "`folds` and `search` start from the base: leave out `resume_adapter_file`, which may have heard the clips"
        )
    if not (recipe.options.resume and state_file(recipe.adapter_file).exists()):
        check_places(recipe.adapter_file, None, recipe.options.overwrite)


def final_run(recipe: Recipe) -> Recipe:
    """Return the recipe of the run after the trials. It goes on with its own state, if that is asked for and there."""
    resume = recipe.options.resume and state_file(recipe.adapter_file).exists()
    return replace(recipe, options=replace(recipe.options, resume=resume))


def trials_folder(adapter_file: str | PathLike) -> Path:
    """Return the folder for the files of trials, beside the adapter: adapters.npz -> adapters_trials."""
    path = Path(adapter_file)
    return path.with_name(f"{path.stem}_trials")


class Paused(Exception):
    """A trial is at the step that was asked for, and its state is saved."""


class _PauseAt(Callback):
    def __init__(self, iteration: int):
        self.iteration = iteration

    def step(self, report: StepReport) -> None:
        if report.iteration == self.iteration:
            raise Paused


class Trial:
    """A run that can pause, and goes on from there bit for bit, also after the process ended.

    Args:
        name: the name of its files.
        recipe: what is trained. The adapter file says where the folder of trials is.
        load_model: loads the base.
    """

    def __init__(self, name: str, recipe: Recipe, load_model: LoadModel):
        self.folder, self.name, self.load_model = trials_folder(recipe.adapter_file), name, load_model
        self.file = self.folder / f"{name}.npz"
        self.recipe = recipe

    def train(self, callback: Callback, until: int | None = None) -> Whisper:
        """Train to the end, or to a step.

        Args:
            callback: gets the events.
            until: the step to pause after, a multiple of `steps_per_report`.

        Returns:
            The model with the adapter.
        """
        self.folder.mkdir(exist_ok=True)
        state = state_file(self.file)
        if state.exists() and until is not None and read_state(state).place.iteration >= until:
            self.remove()  # it was cut off before its score was kept, and cannot go back
        options = replace(self.recipe.options, adapter_file=str(self.file), overwrite=True, resume=state.exists())
        if until is not None:
            callback = all_of([callback, _PauseAt(until)])
        model = self.load_model()
        with contextlib.suppress(Paused):
            replace(self.recipe, options=options, watched={}).train(model, callback)
        model.eval()
        return model

    def remove(self) -> None:
        """Remove its files."""
        for path in (self.file, *self.folder.glob(f"{self.name}_*.npz")):
            path.unlink(missing_ok=True)


def read_results(path: Path, digest: str, resume: bool, callback: Callback) -> dict[str, Any]:
    """Return the results of the same trials that were kept before, or an empty dictionary.

    Args:
        path: the JSON file.
        digest: what the results have to belong to.
        resume: whether a run goes on, so that results of other trials are an error.
        callback: gets a line if results of other trials are there, which new ones will replace.

    Raises:
        OptionError: the file is not one of results, or those of another run while one is to go on.
    """
    found: dict[str, Any] = {}
    if path.exists():
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            same = found["digest"] == digest
        except (ValueError, KeyError, TypeError):
            raise OptionError(f"{path}: not the results of trials, or damaged: remove it") from None
        if same:
            return found
        if resume:
            raise OptionError(
                f"{path}: the clips or the options are not those of that run: give it the same, or begin again without "
                "`resume`"
            )
        callback.note(f"{path} has the results of other clips or options, and is replaced")
    return {}


def write_results(path: Path, digest: str, results: dict[str, Any]) -> None:
    """Write the results of trials, as `read_results` reads them."""
    with atomic_write(path) as file:
        json.dump({"digest": digest, **results}, file, indent=1, ensure_ascii=False)
        file.write("\n")


def remove_trials(adapter_file: str | PathLike, kind: str) -> None:
    """Remove the files of trials whose names begin so, and their folder if nothing else is in it."""
    folder = trials_folder(adapter_file)
    for path in folder.glob(f"{kind}*.npz"):
        path.unlink()
    with contextlib.suppress(OSError):
        folder.rmdir()
