"""Fine-tune a model with an adapter, from examples to adapter files."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import mlx.core as mx

from mlx_whisper_lora.adapters.adapter_file import AdapterConfig
from mlx_whisper_lora.adapters.classifier import Classifier
from mlx_whisper_lora.adapters.inject import count_parameters
from mlx_whisper_lora.adapters.methods import METHODS, method_name
from mlx_whisper_lora.adapters.new_language import NewLanguage
from mlx_whisper_lora.data.ahead import DrawnBatch, LateErrors, decodable, load_unchanged, read_ahead
from mlx_whisper_lora.data.augmentation.augmenter import Augmenter
from mlx_whisper_lora.data.augmentation.options import AugmentationOptions
from mlx_whisper_lora.data.dataset import Example
from mlx_whisper_lora.data.packing import Packer
from mlx_whisper_lora.training.adapter_keeper import AdapterKeeper
from mlx_whisper_lora.training.averages import Averages
from mlx_whisper_lora.training.beginning import adapt, adapter_config, check_same_course, read_beginning
from mlx_whisper_lora.training.callbacks import Callback, RunEnd, RunStart
from mlx_whisper_lora.training.checkpointing import checkpoint_blocks
from mlx_whisper_lora.training.distributed import World
from mlx_whisper_lora.training.encoder_cache import EncoderCache, frozen_blocks
from mlx_whisper_lora.training.loop import train
from mlx_whisper_lora.training.objective import Objective, Transcribing
from mlx_whisper_lora.training.options import SaveEvery, TrainingOptions
from mlx_whisper_lora.training.run_options import ADAPTER_FILE, RunOptions
from mlx_whisper_lora.training.run_state import RunState, digest_of, state_file
from mlx_whisper_lora.training.valid_sets import sample_clips
from mlx_whisper_lora.whisper.checkpoints.hub import BASE
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.option import OptionError
from mlx_whisper_lora.whisper.stopping import at_stop

MakeObjective = Callable[[RunOptions, TrainingOptions, World], Objective]


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
    watched: Mapping[str, Sequence[Example]] | None = None,
    make_objective: MakeObjective = Transcribing,
    classifier: Classifier | None = None,
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
        watched: other validation sets, by name. Their scores are reported, and decide nothing.
        make_objective: makes what the model is trained for, of the resolved options. By default, transcripts.
        classifier: the classes that the examples have, if it is trained for these. An adapter to resume from has its
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
    options = replace(options, model=options.model or BASE, adapter_file=str(options.adapter_file or ADAPTER_FILE))
    saved, resumed = read_beginning(options, settings, world)
    training = training.resolve(len(train_set), resumed.config.method if resumed else method_name(settings))
    mx.random.seed(training.seed)
    augmenter = None
    if augmentation and augmentation.changes_clips:
        augmenter = Augmenter(augmentation, train_set, model, training.seed)
    config = adapter_config(model, train_set, options, training, settings, resumed, new_language, classifier)
    if training.dtype:
        model.set_dtype(getattr(mx, training.dtype))
    errors = late_errors(options, callback, world)
    valid_set = decodable(sample_clips(valid_set, training.val_clips), errors)
    if training.early_stopping and not valid_set:
        raise OptionError("`early_stopping` needs validation clips, and there are none")
    others = {name: decodable(examples, errors) for name, examples in (watched or {}).items()}
    objective = make_objective(options, training, world)
    keeper = AdapterKeeper(
        model,
        replace(config, run=saved.place.run) if saved else config,
        options.adapter_file or ADAPTER_FILE,
        objective,
        {"": valid_set, **others} if valid_set else others,
        callback,
        training.best_by,
        training.early_stopping,
        training.keep_last,
        writes=world.speaks,
    )
    digest = digest_of(train_set, valid_set, training, config.settings, augmentation, options.resume_adapter_file)
    if saved:
        check_same_course(saved, digest, keeper)
    adapt(model, keeper, saved, resumed, world)
    model.audio_context = training.audio_context
    if training.grad_checkpoint:
        checkpoint_blocks(model, config.settings)
    frozen = frozen_blocks(model.encoder)
    packer = objective.packer(model, train_set)
    callback.start(
        RunStart(
            count_parameters(model),
            options.resume_adapter_file,
            options,
            config.settings,
            training,
            train_set,
            valid_set,
            keeper.base,
            _notes(model, config, training, augmenter, frozen, packer),
            saved.place.iteration if saved else 0,
            keeper.watched_base,
        )
    )
    if resumed and valid_set and saved is None:
        keeper.evaluate_and_save(0)
    cache = EncoderCache(model, frozen, 0 if augmenter else training.encoder_cache * 1e9, objective.loss)
    averages = Averages(model, training)
    state = RunState(
        state_file(keeper.adapter_file),
        model,
        keeper,
        cache,
        averages,
        digest,
        SaveEvery.parse(training.save_every),
        saved,
        writes=world.speaks,
    )
    read = partial(read_ahead, errors=errors, load=augmenter.load if augmenter else load_unchanged)
    _train(model, train_set, training, callback, config, packer, read, state)
    end = keeper.end()
    callback.end(end)
    return end


def _notes(
    model: Whisper,
    config: AdapterConfig,
    training: TrainingOptions,
    augmenter: Augmenter | None,
    frozen: int | None,
    packer: Packer | None,
) -> list[str]:
    """Return sentences on what the run does that its options do not say alone."""
    notes = METHODS[config.method].notes(model, config.settings)
    if config.new_language:
        notes.append(config.new_language.describe())
    if augmenter:
        notes.append("clips change at each pass: nothing is kept of them (no feature cache, no encoder cache)")
    elif frozen and training.encoder_cache:
        notes.append(f"encoder blocks that are computed once for each clip: the first {frozen}")
    if packer:
        notes.append(packer.describe())
    return notes


def _train(
    model: Whisper,
    train_set: Sequence[Example],
    training: TrainingOptions,
    callback: Callback,
    config: AdapterConfig,
    packer: Packer | None,
    read: Callable[[Iterator[DrawnBatch]], Generator[DrawnBatch, None, None]],
    state: RunState,
) -> None:
    """Train to the end, and keep adapters and the state of the run. Whatever cuts training short, both are saved."""
    keeper, cache, averages = state.keeper, state.cache, state.averages

    def save_cut_short(error: BaseException) -> None:
        state.save_cut_short(error)
        with averages.moving_in_model():
            keeper.save_cut_short(error)

    def on_evaluate(iteration: int) -> bool:
        with averages.moving_in_model():
            enough = keeper.evaluate_and_save(iteration)
            averages.add_checkpoint()
        cache.renew_silence()
        state.evaluation_done()
        return enough

    factors = METHODS[config.method].rate_factors(config.settings)
    with at_stop(save_cut_short):
        train(
            model, train_set, training, on_evaluate, callback, cache.collate, cache.loss, packer, read, factors, state
        )
        if training.average_last and averages.n_checkpoints > 1:
            with averages.mean_in_model():
                keeper.try_mean(state.iteration, averages.n_checkpoints)
    state.end()


def late_errors(options: RunOptions, callback: Callback, world: World) -> LateErrors:
    """Return what decides about clips that cannot be decoded. Several processes could not skip the same ones."""
    return LateErrors(options.skip_bad and world.size == 1, callback.skip)
