"""What a run of fine-tuning begins with: the adapter of another run, or the state of one that was cut off."""

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlx_whisper_lora.adapters.adapter_file import Adapter, AdapterConfig, Base, check_base, replace_adapter
from mlx_whisper_lora.adapters.classifier import Classifier
from mlx_whisper_lora.adapters.inject import build_modules, put_adapter
from mlx_whisper_lora.adapters.methods import method_name
from mlx_whisper_lora.adapters.new_language import NewLanguage, borrowed_token
from mlx_whisper_lora.adapters.record import Record
from mlx_whisper_lora.data.dataset import Example
from mlx_whisper_lora.training.adapter_keeper import AdapterKeeper
from mlx_whisper_lora.training.adapter_places import check_places, is_of_run, read_adapter_of_first
from mlx_whisper_lora.training.distributed import World
from mlx_whisper_lora.training.options import TrainingOptions
from mlx_whisper_lora.training.run_options import ADAPTER_FILE, RunOptions
from mlx_whisper_lora.training.run_state import SavedState, check_no_state, read_state_of_first, state_file
from mlx_whisper_lora.whisper.checkpoints.hub import BASE
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.option import OptionError


def read_beginning(options: RunOptions, settings: Any, world: World) -> tuple[SavedState | None, Adapter | None]:
    """Read what a run begins with: the state that it goes on from, and the adapter that it starts from.

    Raises:
        AdapterError: one of them cannot be read.
        OptionError: the adapter is of another method than the settings, or files of another run would be replaced.
        OSError: an adapter file cannot be written.
    """
    adapter_file = options.adapter_file or ADAPTER_FILE
    saved = read_state_of_first(world, state_file(adapter_file)) if options.resume else None
    resumed = read_adapter_of_first(world, options.resume_adapter_file)
    if resumed and settings is not None and method_name(settings) != resumed.config.method:
        raise OptionError(
            f"{resumed.path}: the `fine_tune_type` of this adapter is {resumed.config.method}, not "
            f"{method_name(settings)}: remove that option, or train from the base"
        )
    if world.speaks and saved is None:
        check_places(adapter_file, resumed.config if resumed else None, options.overwrite)
        check_no_state(adapter_file, resumed.config.run if resumed else None, options.overwrite)
    return saved, resumed


def adapter_config(
    model: Whisper,
    train_set: Sequence[Example],
    options: RunOptions,
    training: TrainingOptions,
    settings: Any,
    resumed: Adapter | None,
    new_language: NewLanguage | None,
    classifier: Classifier | None,
) -> AdapterConfig:
    """Return what the adapter file says of a run: its settings, or those of the adapter it resumes, and its clips.

    Raises:
        AdapterError: the adapter to resume from belongs to another base.
    """
    old = resumed.config if resumed else None
    base = Base.of(model, options.model or BASE)
    if resumed:
        check_base(resumed.path, resumed.config.base, base, options.model or BASE)
    languages = {example.language for example in train_set}
    tasks = {example.task or options.task or "transcribe" for example in train_set}
    clips = frozenset(example.audio for example in train_set if example.audio is not None)
    return AdapterConfig(
        settings=old.settings if old else settings,
        language=languages.pop() if len(languages) == 1 else None,
        task=tasks.pop() if len(tasks) == 1 else options.task or "transcribe",
        audio_context=training.audio_context,
        base=base,
        run=old.run if old else secrets.token_hex(8),
        clips=clips | old.clips if old else clips,
        new_language=old.new_language if old else new_language,
        classifier=old.classifier if old else classifier,
        record=Record(
            data=tuple(_name_of(each.folder) for each in options.folders),
            minutes=round(sum({example.key: example.seconds for example in train_set}.values()) / 60, 2),
        ),
    )


def _name_of(data: str) -> str:
    """Return the name of a data set of the Hub, or that of a folder without those that it is in."""
    return Path(data).resolve().name if Path(data).exists() else data


def check_same_course(saved: SavedState, digest: str, keeper: AdapterKeeper) -> None:
    """Raise OptionError if a run would not take the course of the one that it goes on with, by `digest_of`."""
    if saved.place.digest != digest:
        raise OptionError(
            f"{saved.path}: the clips or the options are not those of that run: give it the same, or start from its "
            f"newest adapter with `resume_adapter_file` {keeper.newest_file}"
        )


def adapt(
    model: Whisper,
    keeper: AdapterKeeper,
    saved: SavedState | None,
    resumed: Adapter | None,
    world: World,
) -> None:
    """Put a fresh adapter, or the one to resume from, into the model, and measure what it has to beat before."""
    config = keeper.config
    modules = build_modules(
        model, config.settings, config.new_language, config.classifier
    )  # what does not fit is an error at once
    if saved:
        keeper.restore(saved.place.progress)
    else:
        with borrowed_token(model, config.new_language):
            keeper.measure_base()
    put_adapter(model, config.method, modules)
    if resumed is None:
        return
    continues = world.speaks and saved is None and is_of_run(keeper.adapter_file, resumed.config)
    if kept := read_adapter_of_first(world, keeper.adapter_file if continues else None):
        replace_adapter(model, kept)
        keeper.measure_kept()
    replace_adapter(model, resumed)
