"""Fine-tune a model with an adapter: one run, from options to adapter files."""

import hashlib
import random
import secrets
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
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
from mlx_whisper_lora.adapters.inject import adapter_modules, add_adapter, count_parameters, fuse_adapter
from mlx_whisper_lora.adapters.loading import find_model
from mlx_whisper_lora.adapters.methods import METHODS
from mlx_whisper_lora.adapters.new_language import NewLanguage, borrowed_token, choose_new_language, name_language
from mlx_whisper_lora.data.ahead import LateErrors, decodable, load_unchanged, read_ahead
from mlx_whisper_lora.data.array_cache import ArrayCache
from mlx_whisper_lora.data.augmentation.augmenter import Augmenter
from mlx_whisper_lora.data.augmentation.options import AugmentationOptions
from mlx_whisper_lora.data.augmentation.preview import write_preview
from mlx_whisper_lora.data.clip import SPLITS, Clip, DataError, Splits, check_none_bad
from mlx_whisper_lora.data.content import audio_hash, find_duplicates
from mlx_whisper_lora.data.dataset import Example, build_examples
from mlx_whisper_lora.data.packing import Packer
from mlx_whisper_lora.data.sources import check_options_used, load_clips, unused_tables
from mlx_whisper_lora.data.sources.hf_options import HubDataOptions
from mlx_whisper_lora.data.sources.options import SourceOptions
from mlx_whisper_lora.data.sources.weights import WeightedFolder, parse_weighted
from mlx_whisper_lora.data.text_report import clean_texts, report_texts
from mlx_whisper_lora.training.adapter_keeper import (
    AdapterKeeper,
    check_places,
    is_of_run,
    read_adapter_of_first,
)
from mlx_whisper_lora.training.callbacks import (
    Callback,
    ClipsDropped,
    ClipsFound,
    RunEnd,
    RunStart,
    TestStart,
)
from mlx_whisper_lora.training.distributed import World
from mlx_whisper_lora.training.encoder_cache import EncoderCache, frozen_blocks
from mlx_whisper_lora.training.evaluation import Evaluation, evaluate
from mlx_whisper_lora.training.loop import train
from mlx_whisper_lora.training.options import TrainingOptions
from mlx_whisper_lora.whisper.assets import DEMO_CLIPS
from mlx_whisper_lora.whisper.audio.constants import CHUNK_LENGTH
from mlx_whisper_lora.whisper.checkpoints.hub import BASE, DEMO, MODEL_HELP, describe_model
from mlx_whisper_lora.whisper.checkpoints.load import load_model
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.option import OptionError, check_ranges, documented, option
from mlx_whisper_lora.whisper.stopping import at_stop
from mlx_whisper_lora.whisper.text.languages import language_code
from mlx_whisper_lora.whisper.text.normalizers import NORMALIZERS
from mlx_whisper_lora.whisper.text.tokenizer import TASKS
from mlx_whisper_lora.whisper.transcription.options import TranscriptionOptions, temperature_fallback

ADAPTER_FILE = "adapters.npz"


@documented
@dataclass(frozen=True)
class RunOptions:
    """The base, the clips and the adapter of a run, and how it is scored."""

    model: str | None = option(
        None,
        f"The base: {MODEL_HELP}.",
        shown_default=f"the base of the given adapter, or else {BASE}, or {DEMO} (bundled) for the bundled clips",
    )
    data: str | Sequence[str] | None = option(
        None,
        "Folder of clips, or a Hugging Face data set as owner/name. It may be given several times; with folder:2, "
        "training draws its clips twice as often.",
        metavar="FOLDER",
        repeats=True,
        shown_default="the bundled demo clips",
    )
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
    overwrite: bool = option(False, "Replace the adapter of another run in those files.")
    language: str | None = option(
        None,
        "Language of the clips, as a code (te) or a name (telugu). For one that Whisper lacks, its nearest relative is "
        "taken. With --new-language, the language that the new one starts from.",
        parse=language_code,
        shown_default="the data's 'language' column, or else that of the given adapter",
    )
    new_language: str | None = option(
        None,
        "Train a token for a language that Whisper lacks, as a code (dv). It is the language of all clips that name no "
        "other in their 'language' column.",
        metavar="LANGUAGE",
        parse=language_code,
        shown_default="the language of the clips is one of Whisper's, or that of the given adapter",
    )
    task: str | None = option(
        None,
        "What the texts are: transcripts, or translations into English. A column of tasks says it of each clip.",
        choices=TASKS,
        shown_default="translate with a column of translations, or else that of the given adapter, or else transcribe",
    )
    normalizer: str | None = option(
        None,
        "How texts are made alike before errors are counted. unicode: case and punctuation do not count, in any "
        "language. english, basic: openai-whisper's for English and for other languages, to compare with published "
        "numbers. basic splits words at vowel signs, as in Telugu, Hindi or Arabic.",
        choices=tuple(NORMALIZERS),
        shown_default="english if all texts are English, or else unicode",
    )
    normalize_text: bool = option(
        False,
        "Clean the texts of all clips: compose letters (Unicode's NFC), remove characters that cannot be seen, but not "
        "the joiners of Indic and Arabic scripts, and shorten white space to single spaces. The changes are counted, "
        "and three are shown.",
    )
    skip_bad: bool = option(False, "Continue without clips that cannot be used, and list them.")
    sources: SourceOptions = field(default_factory=SourceOptions)  # how the folders are read
    hub: HubDataOptions = field(default_factory=HubDataOptions)  # the part of a Hugging Face data set
    transcription: TranscriptionOptions = field(default_factory=TranscriptionOptions)  # how clips are scored

    def __post_init__(self):
        check_ranges(self)
        if self.data is not None and self.hub.hf_dataset is not None:
            raise OptionError("`data` and `hf_dataset` exclude each other: give one of them")
        if self.task == "transcribe" and self.sources.translation_column is not None:
            raise OptionError("`task` transcribe and `translation_column` exclude each other: leave out one of them")
        self.folders  # noqa: B018 - a wrong weight is an error at once

    @property
    def bundled(self) -> bool:
        """Whether the clips are the bundled ones."""
        return self.data is None and self.hub.hf_dataset is None

    @property
    def folders(self) -> list[WeightedFolder]:
        """The data folders, or names of data sets, with their weights."""
        given = self.hub.hf_dataset if self.data is None else self.data
        data = str(DEMO_CLIPS) if given is None else given
        return [parse_weighted(each) for each in ([data] if isinstance(data, str) else data)]


class Run:
    """A run of training, of testing, or of both, on one base and the clips of one or several folders.

        run = Run(RunOptions(data="telugu", language="te"), TrainingOptions(iters=300), ConsoleCallback())
        run.train(LoRAConfig(layers=-1))

    Processes that `mlx.launch` started share the work, if all of them do the same with their runs. The first one calls
    the callback, and reads and writes adapters. Each one reads the base and the clips.

    Args:
        options: the base, the clips and the adapter.
        training: how to train.
        callback: gets the events of the run.
        trains: whether `train` will be called. It decides which adapter file and which clips are read.
        tests: whether `test` will be called after it. Its clips are then read at once, so that bad ones are found
            before training.
        augmentation: how training clips are changed. By default, they are not.

    Raises:
        CheckpointError, AdapterError, DataError: the base, the adapter or the clips cannot be read, or there are none.
        ValueError: the model lacks the language, or cannot get a new one, or an adapter of another run would be
            replaced.
        ConnectionError: another process has ended or is frozen.
    """

    def __init__(
        self,
        options: RunOptions,
        training: TrainingOptions | None = None,
        callback: Callback | None = None,
        trains: bool = True,
        tests: bool = False,
        augmentation: AugmentationOptions | None = None,
    ):
        self.world = World()
        with self.world.together():
            self.callback = callback if callback and self.world.speaks else Callback()
            self.adapter_file = options.adapter_file or (ADAPTER_FILE if trains else None)
            given = options.resume_adapter_file if trains else self.adapter_file
            found = read_adapter_of_first(self.world, given)
            adapter = found.config if found else None
            if trains and self.world.speaks:
                check_places(self.adapter_file or ADAPTER_FILE, adapter, options.overwrite)
            self.base_name, self.base_path = find_model(options.model, adapter, given, bundled=options.bundled)
            task = options.task or options.sources.task or (adapter.task if adapter else "transcribe")
            if options.new_language and not trains:
                raise OptionError("`new_language` requires `train`; an adapter has its new language already")
            self.training = training or TrainingOptions()
            self.augmentation = augmentation or AugmentationOptions()

            self.callback.load(describe_model(self.base_name, self.base_path))
            self.model = load_model(self.base_name, path=self.base_path)
            self.new_language = _new_language(self.model, options, adapter)
            if self.new_language:
                name_language(self.model, self.new_language.code)
            self.default_language, language = adapter.language if adapter else None, options.language
            if options.new_language and self.new_language:  # then the language is the one that it starts from
                self.default_language, language = self.new_language.code, None
            if language or task == "translate":  # what the model lacks is an error before clips are read
                code = self.model.language_code(language, task)
                language = code if language else None
            transcription = replace(options.transcription, task=task)
            self.options = replace(options, language=language, task=task, transcription=transcription)
            self.folder = ", ".join(each.folder for each in options.folders)
            self.bad: list[DataError] = []
            self.clips = self._load_clips()
            if self.world.speaks:
                self.callback.duplicates(find_duplicates(self.clips))
                self.callback.texts(report_texts(self.clips, self._text_language, options.normalize_text))
            if options.normalize_text:
                self.clips = clean_texts(self.clips)
            self.examples: dict[str, list[Example]] = {}
            self._cache = ArrayCache(self.training.feature_cache * 1e9, "features-")
            self._read(*(("train", "valid") if trains else ()), *(("test",) if tests or not trains else ()))

    def train(self, settings: Any) -> None:
        """Train an adapter and save it.

        Args:
            settings: the configuration of the method, such as LoRAConfig.

        Raises:
            AdapterError, OSError, ValueError, FloatingPointError: as `finetune` raises them.
        """
        options = replace(self.options, model=self.base_name, adapter_file=self.adapter_file)
        train_set, valid_set = self.examples["train"], self.examples["valid"]
        end = finetune(
            self.model,
            train_set,
            valid_set,
            options,
            self.training,
            settings,
            self.callback,
            self.augmentation,
            self.new_language,
        )
        if end.base_is_best:
            self.adapter_file = None

    def preview_augmentation(self, folder: str) -> int:
        """Write a few training clips before and after augmentation into a folder. Return their number.

        Raises:
            DataError, OSError: as `write_preview` raises them, or the folder of noise cannot be used.
        """
        train_set = self.examples["train"]
        return write_preview(Augmenter(self.augmentation, train_set, self.model, self.training.seed), train_set, folder)

    def test(self) -> Evaluation:
        """Test the best adapter, or the base if there is none, on the test clips, as `transcribe` transcribes them.

        Raises:
            DataError: there are no test clips, or one of them cannot be used.
        """
        if "test" not in self.examples:
            self._read("test")
        if adapter_modules(self.model):  # the newest one, but the best one is tested
            self.model = load_model(self.base_name, path=self.base_path)
        seen: list[Clip] = []
        if adapter := read_adapter_of_first(self.world, self.adapter_file):
            trained_on = load_adapter(self.model, adapter, self.base_name).clips
            seen = [clip for clip in self.clips["test"] if audio_hash(clip) in trained_on]
            fuse_adapter(self.model)  # as `transcribe` does
        examples = decodable(self.examples["test"], _late_errors(self.options, self.callback, self.world))
        self.callback.test(TestStart(self.adapter_file, len(examples), seen))
        with borrowed_token(self.model, None if adapter else self.new_language):
            return evaluate(
                self.model,
                examples,
                self.options.transcription,
                description="Testing",
                normalizer=self.options.normalizer,
                world=self.world,
            )

    def _load_clips(self) -> Splits:
        """Return the clips of all data folders."""
        clips: Splits = {split: [] for split in SPLITS}
        for each in self.options.folders:
            found = each.weigh(load_clips(each.folder, self.bad, self.options.sources, self.options.hub))
            unused = unused_tables(each.folder)
            self.callback.clips(ClipsFound(each.folder, self.options.bundled, found, unused, each.weight))
            for split in SPLITS:
                clips[split] += found[split]
        check_options_used([each.folder for each in self.options.folders], self.options.sources, self.options.hub)
        return clips

    def _text_language(self, clip: Clip) -> str | None:
        """Return the code of the language that the text of a clip is in, or None if it is not known."""
        is_translation = (clip.task or self.options.task) == "translate"
        return "en" if is_translation else self.options.language or clip.language or self.default_language

    def _read(self, *splits: str) -> None:
        """Build the examples of splits, and report all clips that cannot be used together.

        Raises:
            DataError: there are such clips and none may be skipped, or a split has no clips. Only "valid" may be empty.
        """
        left_out = {split: self._build_examples(split) for split in splits}
        if self.bad and self.options.skip_bad:
            self.callback.skip(self.bad)
        else:
            check_none_bad(self.bad)
        self.bad = []
        for split, reasons in left_out.items():
            if split != "valid" and not self.examples[split]:
                but = f" but those ({', '.join(reasons)})" if reasons else ""
                raise DataError(f"{self.folder}: there are no {split} clips{but}")
        if self.options.new_language and "train" in left_out:
            self._check_new_language()
        labels = hashlib.sha256()
        for example in (example for split in splits for example in self.examples[split]):
            labels.update(repr(example.tokens).encode())
        if len(set(self.world.gather(labels.digest()))) > 1:
            raise DataError(f"{self.folder}: the processes that train together have read different clips")

    def _check_new_language(self) -> None:
        """Raise DataError unless some training clips are in the new language."""
        found = {example.language for example in self.examples["train"]}
        if self.new_language and self.new_language.code not in found:
            raise DataError(
                f"{self.folder}: all train clips name another language ({', '.join(sorted(map(str, found)))}) than the "
                f"new one; name {self.new_language.code} in their 'language' column, or remove the column"
            )

    def _build_examples(self, split: str) -> list[str]:
        """Build the examples of a split. Return the reasons why clips were left out, such as "longer than 30 s"."""
        built = build_examples(
            self.clips[split],
            self.model,
            self.options.language,
            self.options.task or "transcribe",
            default_language=self.default_language,
            max_seconds=CHUNK_LENGTH if split == "test" else self.training.audio_context or CHUNK_LENGTH,
            max_tokens=self.options.transcription.sample_len,
            bad=self.bad,
            cache=self._cache,
        )
        self.examples[split] = built.examples
        dropped: defaultdict[str, list[Clip]] = defaultdict(list)
        for each in built.dropped:
            dropped[each.reason].append(each.clip)
        for reason, clips in dropped.items():
            self.callback.drop(ClipsDropped(split, reason, clips))
        return list(dropped)


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
    old adapter; that one, and the one in `options.adapter_file`, have to be beaten.

    Args:
        model: the base, which was loaded by the name `options.model`.
        train_set: the examples to train on.
        valid_set: the examples to validate on, or none.
        options: the names of files, the task of the texts, and how clips are transcribed.
        training: how to train.
        settings: the configuration of the method, such as LoRAConfig.
        callback: gets the events of the run, in the first of several processes, which all call this.
        augmentation: how training clips are changed.
        new_language: a language whose token is trained too. The examples have it. An adapter to resume from has its
            own.

    Returns:
        What was kept.

    Raises:
        AdapterError: the adapter to resume from does not fit.
        OptionError: an adapter of another run would be replaced.
        OSError: an adapter file cannot be written. A wrong place is reported before training.
        ValueError, FloatingPointError: as `train` raises them.
    """
    world = World()
    callback = callback if callback and world.speaks else Callback()
    adapter_file = options.adapter_file or ADAPTER_FILE
    resumed = read_adapter_of_first(world, options.resume_adapter_file)
    if world.speaks:
        check_places(adapter_file, resumed.config if resumed else None, options.overwrite)
    training = training.resolve(len(train_set))
    mx.random.seed(training.seed)
    augments = augmentation is not None and augmentation.changes_clips
    augmenter = Augmenter(augmentation, train_set, model, training.seed) if augmentation and augments else None
    config = _adapter_config(model, train_set, options, training, settings, resumed, new_language)
    errors = _late_errors(options, callback, world)
    valid_set = decodable(_sample(valid_set, training.val_clips), errors)
    evaluate_now = _validation(model, valid_set, options, world) if valid_set else None
    keeper = AdapterKeeper(model, config, adapter_file, evaluate_now, callback, writes=world.speaks)
    with borrowed_token(model, config.new_language):
        keeper.measure_base()
    if resumed is None:
        add_adapter(model, settings, config.new_language)
    else:
        load_adapter(model, resumed, options.model or BASE)
        continues = world.speaks and is_of_run(adapter_file, resumed.config)
        if kept := read_adapter_of_first(world, adapter_file if continues else None):
            replace_adapter(model, kept)
            keeper.measure_kept()
            replace_adapter(model, resumed)
    model.audio_context = training.audio_context
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
            config.settings,
            training,
            len(train_set),
            len(valid_set),
            notes,
        )
    )
    if resumed and valid_set:
        keeper.evaluate_and_save(0)
    with at_stop(keeper.save_cut_short):
        cache = EncoderCache(model, frozen, 0 if augmenter else training.encoder_cache * 1e9)
        read = partial(read_ahead, errors=errors, load=augmenter.load if augmenter else load_unchanged)

        def on_evaluate(iteration: int) -> None:
            keeper.evaluate_and_save(iteration)
            cache.renew_silence()

        train(model, train_set, training, on_evaluate, callback, cache.collate, cache.loss, packer, read)
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


def _new_language(model: Whisper, options: RunOptions, adapter: AdapterConfig | None) -> NewLanguage | None:
    """Return the new language of an adapter, or the one that the options ask for.

    Raises:
        OptionError: the adapter lacks the language, or the model cannot get it.
    """
    present = adapter.new_language if adapter else None
    if options.new_language is None:
        return present
    code = language_code(options.new_language)
    if adapter is None:
        return choose_new_language(model, code, options.language)
    if present is None or present.code != code:
        raise OptionError(f"the adapter to resume from lacks the `new_language` {code}: train it from the base")
    return present


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


def _late_errors(options: RunOptions, callback: Callback, world: World) -> LateErrors:
    """Return what decides about clips that cannot be decoded. Several processes could not skip the same ones."""
    return LateErrors(options.skip_bad and world.size == 1, callback.skip)


def _sample(valid_set: Sequence[Example], val_clips: int) -> Sequence[Example]:
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
