"""Fine-tune a model with an adapter, from examples to adapter files."""

import random
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import mlx.core as mx

from mlx_whisper_lora.adapters.adapter_file import (
    Adapter,
    AdapterConfig,
    Base,
    load_adapter,
    replace_adapter,
)
from mlx_whisper_lora.adapters.inject import add_adapter, count_parameters
from mlx_whisper_lora.adapters.methods import METHODS, method_name
from mlx_whisper_lora.adapters.new_language import NewLanguage, borrowed_token
from mlx_whisper_lora.data.ahead import LateErrors, decodable, load_unchanged, read_ahead
from mlx_whisper_lora.data.augmentation.augmenter import Augmenter
from mlx_whisper_lora.data.augmentation.options import AugmentationOptions
from mlx_whisper_lora.data.dataset import Example
from mlx_whisper_lora.data.packing import Packer
from mlx_whisper_lora.training.adapter_keeper import (
    AdapterKeeper,
    check_places,
    is_of_run,
    read_adapter_of_first,
)
from mlx_whisper_lora.training.averages import Averages
from mlx_whisper_lora.training.callbacks import (
    Callback,
    RunEnd,
    RunStart,
)
from mlx_whisper_lora.training.checkpointing import checkpoint_blocks
from mlx_whisper_lora.training.distributed import World
from mlx_whisper_lora.training.encoder_cache import EncoderCache, frozen_blocks
from mlx_whisper_lora.training.evaluation import Evaluation, evaluate
from mlx_whisper_lora.training.loop import train
from mlx_whisper_lora.training.options import SaveEvery, TrainingOptions
from mlx_whisper_lora.training.run_options import ADAPTER_FILE, RunOptions
from mlx_whisper_lora.training.run_state import RunState, check_no_state, digest_of, read_state_of_first, state_file
from mlx_whisper_lora.whisper.audio.constants import CHUNK_LENGTH
from mlx_whisper_lora.whisper.checkpoints.hub import BASE
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.option import OptionError
from mlx_whisper_lora.whisper.stopping import at_stop
from mlx_whisper_lora.whisper.transcription.options import temperature_fallback


def finetune(
    model: Whisper,
    train_set: Sequence[Example],
    valid_set: Sequence[Example],
    options: RunOptions,
    training: TrainingOptions,
    settings: Any,
    callback: Callback | None = None,
    augmentation: AugmentationOptions | None = None,
    new_language: NewLanguage | None = None,
) -> RunEnd:
    """Train an adapter of a plain model on examples. The newest adapter stays in the model.

    At every evaluation, the newest adapter is saved beside `options.adapter_file`. If it is better on `valid_set` than
    the base without an adapter and all adapters before it, it is saved there too; without validation clips, always.
    Whatever cuts training short, such as Ctrl-C, the newest adapter is saved first. Resuming takes the settings of the
    old adapter; that one, and the one in `options.adapter_file`, have to be beaten. With `options.resume`, a run that
    was cut off goes on from its state (`run_state`) to the same end.

    Args:
        model: the base, which was loaded by the name `options.model`.
        train_set: the examples to train on.
        valid_set: the examples to validate on, or none.
        options: the names of files, the task of the texts, and how clips are transcribed.
        training: how to train.
        settings: the configuration of the method, such as LoRAConfig. None stands for that of the adapter to resume
            from.
        callback: gets the events of the run, in the first of several processes, which all call this.
        augmentation: how training clips are changed.
        new_language: a language whose token is trained too. The examples have it. An adapter to resume from has its
            own.

    Returns:
        What was kept.

    Raises:
        AdapterError: the adapter to resume from does not fit.
        OptionError: an adapter of another run would be replaced, or the one to resume from has another method.
        OSError: an adapter file cannot be written. A wrong place is reported before training.
        ValueError, FloatingPointError: as `train` raises them.
    """
    world = World()
    callback = callback if callback and world.speaks else Callback()
    adapter_file = options.adapter_file or ADAPTER_FILE
    saved = read_state_of_first(world, state_file(adapter_file)) if options.resume else None
    resumed = read_adapter_of_first(world, options.resume_adapter_file)
    _check_same_method(settings, resumed)
    if world.speaks and saved is None:
        check_places(adapter_file, resumed.config if resumed else None, options.overwrite)
        check_no_state(adapter_file, resumed.config.run if resumed else None, options.overwrite)
    training = training.resolve(len(train_set), resumed.config.method if resumed else method_name(settings))
    mx.random.seed(training.seed)
    augmenter = None
    if augmentation and augmentation.changes_clips:
        augmenter = Augmenter(augmentation, train_set, model, training.seed)
    config = _adapter_config(model, train_set, options, training, settings, resumed, new_language)
    if saved:
        config = replace(config, run=saved.place.run)
    errors = late_errors(options, callback, world)
    valid_set = decodable(sample_clips(valid_set, training.val_clips), errors)
    if training.early_stopping and not valid_set:
        raise OptionError("`early_stopping` needs validation clips, and there are none")
    evaluate_now = _validation(model, valid_set, options, world) if valid_set else None
    keeper = AdapterKeeper(
        model,
        config,
        adapter_file,
        evaluate_now,
        callback,
        training.best_by,
        training.early_stopping,
        writes=world.speaks,
    )
    digest = digest_of(train_set, valid_set, training, config.settings, augmentation, options.resume_adapter_file)
    if saved and saved.place.digest != digest:
        raise OptionError(
            f"{saved.path}: the clips or the options are not those of that run: give it the same, or start from its "
            f"newest adapter with `resume_adapter_file` {keeper.newest_file}"
        )
    if saved:
        keeper.restore(saved.place.progress)
    else:
        with borrowed_token(model, config.new_language):
            keeper.measure_base()
    if resumed is None:
        add_adapter(model, settings, config.new_language)
    else:
        load_adapter(model, resumed, options.model or BASE)
        continues = world.speaks and saved is None and is_of_run(adapter_file, resumed.config)
        if kept := read_adapter_of_first(world, adapter_file if continues else None):
            replace_adapter(model, kept)
            keeper.measure_kept()
            replace_adapter(model, resumed)
    model.audio_context = training.audio_context
    if training.grad_checkpoint:
        checkpoint_blocks(model, config.settings)
    frozen = frozen_blocks(model.encoder)
    notes = METHODS[config.method].notes(model, config.settings)
    if config.new_language:
        notes.append(config.new_language.describe())
    if augmenter:
        notes.append("clips change at each pass: nothing is kept of them (no feature cache, no encoder cache)")
    elif frozen and training.encoder_cache:
        notes.append(f"encoder blocks that are computed once for each clip: the first {frozen}")
    packer = _packer(model, train_set, options, training)
    if packer:
        notes.append(packer.describe())
    callback.start(
        RunStart(
            count_parameters(model),
            options.resume_adapter_file,
            replace(options, model=options.model or BASE, adapter_file=str(adapter_file)),
            config.settings,
            training,
            train_set,
            valid_set,
            keeper.base,
            notes,
            saved.place.iteration if saved else 0,
        )
    )
    if resumed and valid_set and saved is None:
        keeper.evaluate_and_save(0)
    cache = EncoderCache(model, frozen, 0 if augmenter else training.encoder_cache * 1e9)
    averages = Averages(model, training)
    state = RunState(
        state_file(adapter_file),
        model,
        keeper,
        cache,
        averages,
        digest,
        SaveEvery.parse(training.save_every),
        saved,
        writes=world.speaks,
    )

    def save_cut_short(error: BaseException) -> None:
        state.save_cut_short(error)
        with averages.moving_in_model():
            keeper.save_cut_short(error)

    with at_stop(save_cut_short):
        read = partial(read_ahead, errors=errors, load=augmenter.load if augmenter else load_unchanged)

        def on_evaluate(iteration: int) -> bool:
            with averages.moving_in_model():
                enough = keeper.evaluate_and_save(iteration)
                averages.add_checkpoint()
            cache.renew_silence()
            state.evaluation_done()
            return enough

        factors = METHODS[config.method].rate_factors(config.settings)
        loss = partial(cache.loss, label_smoothing=training.label_smoothing)
        train(model, train_set, training, on_evaluate, callback, cache.collate, loss, packer, read, factors, state)
        if training.average_last and averages.n_checkpoints > 1:
            with averages.mean_in_model():
                keeper.try_mean(state.iteration, averages.n_checkpoints)
    state.end()
    end = keeper.end()
    callback.end(end)
    return end


def _adapter_config(
    model: Whisper,
    train_set: Sequence[Example],
    options: RunOptions,
    training: TrainingOptions,
    settings: Any,
    resumed: Adapter | None,
    new_language: NewLanguage | None,
) -> AdapterConfig:
    """Return what the adapter file says of a run: its settings, or those of the adapter it resumes, and its clips."""
    old = resumed.config if resumed else None
    languages = {example.language for example in train_set}
    tasks = {example.task or options.task or "transcribe" for example in train_set}
    clips = frozenset(example.audio for example in train_set if example.audio is not None)
    return AdapterConfig(
        settings=old.settings if old else settings,
        language=languages.pop() if len(languages) == 1 else None,
        task=tasks.pop() if len(tasks) == 1 else options.task or "transcribe",
        audio_context=training.audio_context,
        base=Base.of(model, options.model or BASE),
        run=old.run if old else secrets.token_hex(8),
        clips=clips | old.clips if old else clips,
        new_language=old.new_language if old else new_language,
    )


def _check_same_method(settings: Any, resumed: Adapter | None) -> None:
    """Raise OptionError if the settings of a run are of another method than the adapter that it resumes from."""
    if resumed and settings is not None and method_name(settings) != resumed.config.method:
        raise OptionError(
            f"{resumed.path}: the `fine_tune_type` of this adapter is {resumed.config.method}, not "
            f"{method_name(settings)}: remove that option, or train from the base"
        )


def _packer(
    model: Whisper, train_set: Sequence[Example], options: RunOptions, training: TrainingOptions
) -> Packer | None:
    """Return what draws windows of several clips, if the training options ask for them."""
    if not training.pack:
        return None
    return Packer(
        train_set,
        model,
        options.task or "transcribe",
        seconds=training.audio_context or CHUNK_LENGTH,
        max_tokens=options.transcription.sample_len,
        timestamps_share=training.timestamps_share,
    )


def late_errors(options: RunOptions, callback: Callback, world: World) -> LateErrors:
    """Return what decides about clips that cannot be decoded. Several processes could not skip the same ones."""
    return LateErrors(options.skip_bad and world.size == 1, callback.skip)


def sample_clips(valid_set: Sequence[Example], val_clips: int) -> Sequence[Example]:
    """Return so many of the validation clips, chosen at random but always the same, or all of them for -1."""
    return random.Random(0).sample(valid_set, val_clips) if 0 < val_clips < len(valid_set) else valid_set


def _validation(
    model: Whisper, valid_set: Sequence[Example], options: RunOptions, world: World
) -> Callable[[], Evaluation]:
    """Return a function that evaluates the model on validation clips.

    They are transcribed as in a test, but at the first temperature alone: an untrained model fails most windows of a
    language that it does not know, and would sample each of them up to 25 times.
    """
    first = temperature_fallback(options.transcription)[0].temperature
    transcription = replace(options.transcription, temperature=first)
    return lambda: evaluate(
        model,
        valid_set,
        transcription,
        description="Validating",
        normalizer=options.normalizer,
        world=world,
    )
