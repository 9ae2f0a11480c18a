"""A run of training, of testing, or of both: the base, the clips and the adapter file."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import mlx.core as mx

from mlx_whisper_lora.adapters.adapter_file import AdapterConfig
from mlx_whisper_lora.adapters.classifier import check_transcribes
from mlx_whisper_lora.adapters.inject import adapter_modules
from mlx_whisper_lora.adapters.loading import find_model
from mlx_whisper_lora.adapters.new_language import NewLanguage, borrowed_token, choose_new_language, name_language
from mlx_whisper_lora.adapters.strength import load_fused
from mlx_whisper_lora.data.ahead import decodable
from mlx_whisper_lora.data.array_cache import ArrayCache
from mlx_whisper_lora.data.augmentation.augmenter import Augmenter
from mlx_whisper_lora.data.augmentation.options import AugmentationOptions
from mlx_whisper_lora.data.augmentation.preview import write_preview
from mlx_whisper_lora.data.clip import SPLITS, Clip, DataError, check_none_bad
from mlx_whisper_lora.data.content import audio_hash, find_duplicates
from mlx_whisper_lora.data.dataset import Example, build_examples
from mlx_whisper_lora.data.text_report import clean_texts, report_texts
from mlx_whisper_lora.training.adapter_places import check_places, read_adapter_of_first
from mlx_whisper_lora.training.callbacks import Callback, ClipsDropped, TestStart
from mlx_whisper_lora.training.distributed import World
from mlx_whisper_lora.training.evaluation import Evaluation, evaluate
from mlx_whisper_lora.training.finetune import late_errors
from mlx_whisper_lora.training.found_clips import load_all_clips
from mlx_whisper_lora.training.options import TrainingOptions
from mlx_whisper_lora.training.run_options import ADAPTER_FILE, RunOptions
from mlx_whisper_lora.training.search import try_first
from mlx_whisper_lora.training.trial_options import TrialOptions
from mlx_whisper_lora.training.trials import Recipe
from mlx_whisper_lora.training.valid_sets import load_valid_sets
from mlx_whisper_lora.whisper.audio.constants import CHUNK_LENGTH
from mlx_whisper_lora.whisper.checkpoints.hub import describe_model
from mlx_whisper_lora.whisper.checkpoints.load import load_model
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.option import OptionError
from mlx_whisper_lora.whisper.text.languages import language_code


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
            if options.adapter_strength != 1 and not (self.adapter_file and (tests or not trains)):
                raise OptionError("`adapter_strength` is for the `test` of an `adapter_file`")
            found = read_adapter_of_first(self.world, given)
            adapter = found.config if found else None
            check_transcribes(given, adapter.classifier if adapter else None)
            if trains and self.world.speaks and not options.resume:
                check_places(self.adapter_file or ADAPTER_FILE, adapter, options.overwrite)
            self.base_name, self.base_path = find_model(options.model, adapter, given, bundled=options.bundled)
            task = options.task or options.sources.task or (adapter.task if adapter else "transcribe")
            if options.new_language and not trains:
                raise OptionError("`new_language` requires `train`; an adapter has its new language already")
            self.training = training or TrainingOptions()
            self.augmentation = augmentation or AugmentationOptions()

            self.callback.load(describe_model(self.base_name, self.base_path))
            self.model = self._load_base(trains)
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
            self.clips = load_all_clips(options, self.callback, self.bad)
            if self.world.speaks:
                self.callback.duplicates(find_duplicates(self.clips))
                self.callback.texts(report_texts(self.clips, self._text_language, options.normalize_text))
            if options.normalize_text:
                self.clips = clean_texts(self.clips)
            self.examples: dict[str, list[Example]] = {}
            self._cache = ArrayCache(self.training.feature_cache * 1e9, "features-")
            self.valid_sets: dict[str, list[Clip]] = {}
            if trains:
                self.valid_sets = load_valid_sets(self.options, self.training.val_clips, self.clips["train"], self.bad)
            needed = ["train", *self.valid_sets] if trains else []
            needed += ["test"] if tests or not trains else []
            self._read([*SPLITS, *self.valid_sets] if trains else needed, needed)  # bad test clips are reported at once

    def train(self, settings: Any, trials: TrialOptions | None = None) -> None:
        """Train an adapter and save it.

        Args:
            settings: the configuration of the method, such as LoRAConfig, or None as for `finetune`.
            trials: what is tried first, such as other settings. By default, nothing is.

        Raises:
            AdapterError, OSError, ValueError, FloatingPointError: as `finetune` raises them.
        """
        options = replace(self.options, model=self.base_name, adapter_file=self.adapter_file)
        sets = self.examples["train"], self.examples["valid"]
        watched = {name: self.examples[name] for name in self.valid_sets}
        recipe = Recipe(*sets, options, self.training, settings, self.augmentation, self.new_language, watched)
        chosen = try_first(recipe, trials or TrialOptions(), self._load_named_base, self.callback)
        if chosen is None or chosen.train(self.model, self.callback).base_is_best:
            self.adapter_file = None

    def _load_base(self, trains: bool) -> Whisper:
        """Load the base. To train in a type that is given, `finetune` casts it: its fingerprint needs float32."""
        return load_model(self.base_name, mx.float32 if trains and self.training.dtype else None, self.base_path)

    def _load_named_base(self) -> Whisper:
        """Load the base to train, with the name of the new language if there is one."""
        model = self._load_base(trains=True)
        if self.new_language:
            name_language(model, self.new_language.code)
        return model

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
        if not self.examples.get("test"):
            self._read(["test"], needed=["test"])
        if adapter_modules(self.model):  # the newest one, but the best one is tested
            self.model = self._load_base(trains=False)
        seen: list[Clip] = []
        if adapter := read_adapter_of_first(self.world, self.adapter_file):
            seen = [clip for clip in self.clips["test"] if audio_hash(clip) in adapter.config.clips]
            load_fused(self.model, adapter, self.base_name, self.options.adapter_strength)  # as `transcribe` does
        examples = decodable(self.examples["test"], late_errors(self.options, self.callback, self.world))
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

    def _text_language(self, clip: Clip) -> str | None:
        """Return the code of the language that the text of a clip is in, or None if it is not known."""
        is_translation = (clip.task or self.options.task) == "translate"
        return "en" if is_translation else self.options.language or clip.language or self.default_language

    def _read(self, splits: Sequence[str], needed: Sequence[str]) -> None:
        """Build the examples of splits, and report all clips that cannot be used together.

        Raises:
            DataError: there are such clips and none may be skipped, or a split that is needed has no clips.
        """
        left_out = {split: self._build_examples(split) for split in splits}
        if self.bad and self.options.skip_bad:
            self.callback.skip(self.bad)
        else:
            check_none_bad(self.bad)
        self.bad = []
        for split, reasons in left_out.items():
            if split in needed and not self.examples[split]:
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
        """Build the examples of a split, or of a validation set. Return the reasons why clips were left out."""
        language, default_language = self.options.language, self.default_language
        if split in self.valid_sets:  # which may be of another language
            language, default_language = None, language or default_language
        trains = split in ("train", "valid")
        built = build_examples(
            self.clips[split] if split in SPLITS else self.valid_sets[split],
            self.model,
            language,
            self.options.task or "transcribe",
            default_language=default_language,
            max_seconds=(trains and self.training.audio_context) or CHUNK_LENGTH,
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
