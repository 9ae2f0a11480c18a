"""Fine-tune a model with an adapter: one run, from options to adapter files."""

import errno
import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import mlx.core as mx

from mlx_whisper_lora.adapters.adapter_file import (
    AdapterConfig,
    Base,
    load_adapter,
    read_adapter_config,
    save_adapter,
)
from mlx_whisper_lora.adapters.inject import adapter_modules, add_adapter, count_parameters
from mlx_whisper_lora.data.clip import DataError
from mlx_whisper_lora.data.dataset import Example, build_examples
from mlx_whisper_lora.data.sources import load_clips
from mlx_whisper_lora.training.callbacks import AdapterSaved, Callback, ClipsDropped, ClipsFound, RunStart
from mlx_whisper_lora.training.distributed import World
from mlx_whisper_lora.training.evaluation import Evaluation, evaluate
from mlx_whisper_lora.training.loop import train
from mlx_whisper_lora.training.options import TrainingOptions
from mlx_whisper_lora.whisper.assets import DEMO_CLIPS
from mlx_whisper_lora.whisper.audio.constants import CHUNK_LENGTH
from mlx_whisper_lora.whisper.checkpoints.hub import DEMO, MODEL_HELP
from mlx_whisper_lora.whisper.checkpoints.load import load_model
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.option import check_ranges, documented, option
from mlx_whisper_lora.whisper.text.normalizers import Normalizer, normalize_unicode
from mlx_whisper_lora.whisper.text.tokenizer import TASKS, language_code

ADAPTER_FILE = "adapters.npz"


@documented
@dataclass(frozen=True)
class RunOptions:
    """The base, the clips and the adapter of a run."""

    model: str | None = option(
        None,
        f"The base: {MODEL_HELP}.",
        shown_default=f"the base of the given adapter, or else {DEMO!r}, the bundled model",
    )
    data: str | None = option(None, "Folder of clips.", metavar="FOLDER", shown_default="the bundled demo clips")
    adapter_file: str | None = option(
        None,
        "The file for the best adapter, in training; the newest one goes to a file beside it, such as "
        "adapters_last.npz. In a test, the adapter to test.",
        metavar="FILE",
        shown_default=f"{ADAPTER_FILE} in training; in a test alone, the base is tested without an adapter",
    )
    resume_adapter_file: str | None = option(
        None,
        "Start training from this adapter, with its own settings.",
        metavar="FILE",
        shown_default="training starts from the base",
    )
    language: str | None = option(
        None,
        "Language of the clips, as a code (te) or an English name (telugu).",
        parse=language_code,
        shown_default="the data's 'language' column, or else that of the given adapter",
    )
    task: str | None = option(
        None,
        "What the texts are: transcripts, or translations into English.",
        choices=TASKS,
        shown_default="that of the given adapter, or else transcribe",
    )

    def __post_init__(self):
        check_ranges(self)


class Run:
    """A run of training, of testing, or of both, on one base and one folder of clips.

        run = Run(RunOptions(data="telugu", language="te"), TrainingOptions(iters=300), ConsoleCallback())
        run.train(LoRAConfig(layers=-1))

    Of several processes that `mlx.launch` started, the first one calls the callback, evaluates and writes.

    Args:
        options: the base, the clips and the adapter.
        training: how to train. Its batch size holds in tests too.
        callback: gets the events of the run.
        trains: whether `train` will be called. It decides which adapter file is read.

    Raises:
        CheckpointError, AdapterError, DataError: the base, the adapter or the clips cannot be read.
        ValueError: the model lacks the language.
    """

    def __init__(
        self,
        options: RunOptions,
        training: TrainingOptions | None = None,
        callback: Callback | None = None,
        trains: bool = True,
    ):
        self.world = World()
        self.callback = callback if callback and self.world.speaks else Callback()
        self.adapter_file = options.adapter_file or (ADAPTER_FILE if trains else None)
        given = options.resume_adapter_file if trains else self.adapter_file
        adapter = read_adapter_config(given) if given else None
        self.base_name = options.model or (adapter.base.name if adapter else DEMO)
        self.options = replace(options, task=options.task or (adapter.task if adapter else "transcribe"))
        self.default_language = adapter.language if adapter else None
        training = training or TrainingOptions()
        if training.audio_context is None and self.base_name == DEMO:
            training = replace(training, audio_context=0.0)
        self.training = training

        self.callback.load(self.base_name)
        self.model = load_model(self.base_name)
        if options.language:
            self.model.tokenizer(options.language, self.task)  # an unknown language is an error before clips are read
        folder = options.data or DEMO_CLIPS
        self.clips = load_clips(folder, training.seed)
        counts = {split: len(clips) for split, clips in self.clips.items()}
        self.callback.clips(ClipsFound(str(folder), options.data is None, counts))

    @property
    def task(self) -> str:
        """The task of the texts."""
        return self.options.task or "transcribe"

    def train(self, settings: Any) -> None:
        """Train an adapter and save it.

        Args:
            settings: the configuration of the method, such as LoRAConfig.

        Raises:
            DataError: there are no clips to train on, or one of them cannot be used.
            AdapterError, OSError, ValueError, FloatingPointError: as `finetune` raises them.
        """
        longest = self.training.context_seconds or CHUNK_LENGTH
        train_set = self._examples("train", longest)
        valid_set = self._examples("valid", longest) if self.clips["valid"] else []
        options = replace(self.options, model=self.base_name, adapter_file=self.adapter_file)
        finetune(self.model, train_set, valid_set, options, self.training, settings, self.callback)

    @functools.cached_property
    def test_set(self) -> list[Example]:
        """The examples of the test clips. Ask for them before training, so that bad clips are found before it."""
        return self._examples("test", CHUNK_LENGTH)

    def test(self, normalizer: Normalizer = normalize_unicode) -> Evaluation:
        """Test the best adapter, or the base if there is none, on the test clips in windows of 30 s.

        Raises:
            DataError: there are no test clips, or one of them cannot be used.
        """
        test_set = self.test_set
        if adapter_modules(self.model):  # the newest one, but the best one is tested
            self.model = load_model(self.base_name)
        if self.adapter_file:
            load_adapter(self.model, self.adapter_file, self.base_name)
        self.callback.test(self.adapter_file, len(test_set))
        return evaluate(self.model, test_set, self.training.batch_size, self.task, normalizer=normalizer)

    def _examples(self, split: str, longest: float) -> list[Example]:
        """Build the examples of a split, without clips of over `longest` seconds."""
        built = build_examples(
            self.clips[split],
            self.model,
            self.options.language,
            self.task,
            default_language=self.default_language,
            max_seconds=longest,
        )
        if built.dropped:
            self.callback.drop(ClipsDropped(split, [dropped.clip for dropped in built.dropped], longest))
        if not built.examples:
            raise DataError(f"there are no {split} clips" + (f" of up to {longest:g} s" if built.dropped else ""))
        return built.examples


def finetune(
    model: Whisper,
    train_set: Sequence[Example],
    valid_set: Sequence[Example],
    options: RunOptions,
    training: TrainingOptions,
    settings: Any,
    callback: Callback | None = None,
) -> None:
    """Train an adapter of a plain model on examples. The newest adapter stays in the model.

    At every evaluation, the newest adapter is saved beside `options.adapter_file`. If its WER on `valid_set` is the
    lowest so far (or its loss, at equal WER), it is saved there too; without validation clips, always. After Ctrl-C,
    the newest adapter is saved, and KeyboardInterrupt continues. Resuming takes the settings of the old adapter, which
    is the first to be the best.

    Args:
        model: the base, which was loaded by the name `options.model`.
        train_set: the examples to train on.
        valid_set: the examples to validate on, or none.
        options: the names of files, and the task of the texts.
        training: how to train.
        settings: the configuration of the method, such as LoRAConfig.
        callback: gets the events of the run, in the first of several processes.

    Raises:
        AdapterError: the adapter to resume from does not fit.
        OSError: an adapter file cannot be written. A wrong place is reported before training.
        ValueError, FloatingPointError: as `train` raises them.
    """
    world = World()
    callback = callback if callback and world.speaks else Callback()
    adapter_file = options.adapter_file or ADAPTER_FILE
    base_name = options.model or DEMO
    _check_writable(adapter_file)
    mx.random.seed(training.seed)
    base = Base.of(model, base_name)
    if options.resume_adapter_file is None:
        add_adapter(model, settings)
    else:
        settings = load_adapter(model, options.resume_adapter_file, base_name).settings
    callback.start(RunStart(count_parameters(model), options.resume_adapter_file, settings))
    languages = {example.language for example in train_set}
    language = languages.pop() if len(languages) == 1 else None
    config = AdapterConfig(settings, language, options.task or "transcribe", training.context_seconds, base)
    keeper = _AdapterKeeper(model, config, adapter_file, valid_set, training.batch_size, callback)
    if world.speaks and valid_set:
        if options.resume_adapter_file is None:
            keeper.measure(0)
        else:
            keeper.evaluate_and_save(0)
    try:
        train(model, train_set, training, keeper.evaluate_and_save, callback)
    except KeyboardInterrupt:
        if world.speaks:
            keeper.save_newest()
            callback.save(AdapterSaved(keeper.newest_file, None, best=False))
        raise
    callback.end()


class _AdapterKeeper:
    """Evaluates a model in training, and keeps its newest and its best adapter on disk."""

    def __init__(
        self,
        model: Whisper,
        config: AdapterConfig,
        adapter_file: str | PathLike,
        valid_set: Sequence[Example],
        batch_size: int,
        callback: Callback,
    ):
        self.model, self.config, self.callback = model, config, callback
        self.adapter_file, self.newest_file = adapter_file, last_adapter_file(adapter_file)
        self.valid_set, self.batch_size = valid_set, batch_size
        self.best = (float("inf"), float("inf"))  # WER and loss

    def measure(self, iteration: int) -> tuple[float, float]:
        """Evaluate the model on the validation clips. Return its WER and its loss."""
        context = self.config.audio_context
        result = evaluate(self.model, self.valid_set, self.batch_size, self.config.task, context, "Validating")
        self.callback.evaluation(iteration, result)
        return result.wer, result.loss

    def evaluate_and_save(self, iteration: int) -> None:
        """Evaluate the model, and save its adapter as the newest, and as the best if it is."""
        score = self.measure(iteration) if self.valid_set else self.best
        self.save_newest()
        if score < self.best or not self.valid_set:
            self.best = score
            save_adapter(self.adapter_file, self.model, self.config)
            self.callback.save(AdapterSaved(self.adapter_file, iteration, best=bool(self.valid_set)))

    def save_newest(self) -> None:
        """Save the adapter as the newest."""
        save_adapter(self.newest_file, self.model, self.config)


def last_adapter_file(adapter_file: str | PathLike) -> Path:
    """Return the file for the newest adapter, beside the best one: adapters.npz -> adapters_last.npz."""
    path = Path(adapter_file)
    return path.with_name(f"{path.stem}_last{path.suffix}")


def _check_writable(path: str | PathLike) -> None:
    """Raise OSError, naming `path`, unless a file can be written there."""
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "this is a folder, not a file name", str(path))
    if not path.absolute().parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "the folder for this file does not exist", str(path))
    if not os.access(path.absolute().parent, os.W_OK):
        raise PermissionError(errno.EACCES, "its folder cannot be written", str(path))
