"""A run that trains or tests a classifier: base, clips with labels, and what comes of them."""

from collections import Counter
from dataclasses import replace
from functools import partial
from typing import Any

import mlx.core as mx
import numpy as np

from mlx_whisper_lora.adapters.classifier import Classifier
from mlx_whisper_lora.adapters.errors import AdapterError
from mlx_whisper_lora.adapters.inject import adapter_modules
from mlx_whisper_lora.adapters.loading import find_model
from mlx_whisper_lora.adapters.strength import load_fused
from mlx_whisper_lora.data.ahead import decodable
from mlx_whisper_lora.data.array_cache import ArrayCache
from mlx_whisper_lora.data.augmentation.options import AugmentationOptions
from mlx_whisper_lora.data.classes import (
    balance,
    build_class_examples,
    choose_clips,
    class_weights,
    find_classes,
    whole_clips,
)
from mlx_whisper_lora.data.clip import SPLITS, Clip, DataError, check_none_bad
from mlx_whisper_lora.data.content import audio_hash, find_duplicates
from mlx_whisper_lora.data.dataset import Example
from mlx_whisper_lora.training.adapter_places import check_places, read_adapter_of_first
from mlx_whisper_lora.training.callbacks import Callback, TestStart
from mlx_whisper_lora.training.class_evaluation import ClassEvaluation
from mlx_whisper_lora.training.class_languages import map_languages
from mlx_whisper_lora.training.class_options import ClassOptions, ClassTrainingOptions
from mlx_whisper_lora.training.classifying import Classifying, evaluate_classes, majority
from mlx_whisper_lora.training.distributed import World
from mlx_whisper_lora.training.finetune import finetune, late_errors
from mlx_whisper_lora.training.found_clips import load_all_clips
from mlx_whisper_lora.training.run_options import ADAPTER_FILE, RunOptions
from mlx_whisper_lora.whisper.checkpoints.hub import describe_model
from mlx_whisper_lora.whisper.checkpoints.load import load_model
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.option import OptionError


class ClassRun:
    """Loads the base and the clips, and can then train a classifier, test it, or both.

    Args:
        options: the base, the clips and the adapter.
        classes: how classes are distinguished.
        training: how to train.
        callback: gets the events of the run.
        trains: whether `train` will be called. It decides which adapter file and which clips are read.
        tests: whether `test` will be called.
        augmentation: how training clips are changed.

    Raises:
        CheckpointError, AdapterError, DataError: the base, the adapter or the clips cannot be read, or there are none.
        OptionError: an adapter of another run would be replaced, or none is there to test.
    """

    def __init__(
        self,
        options: RunOptions,
        classes: ClassOptions,
        training: ClassTrainingOptions,
        callback: Callback,
        trains: bool,
        tests: bool,
        augmentation: AugmentationOptions | None = None,
    ):
        self.world, self.classes, self.training = World(), classes, training
        self.callback = callback if self.world.speaks else Callback()
        self.augmentation = augmentation or AugmentationOptions()
        with self.world.together():
            self._load(options, trains, tests)

    def _load(self, options: RunOptions, trains: bool, tests: bool) -> None:
        """Load adapter, base and clips."""
        if options.bundled:
            raise OptionError("`data` is missing: the bundled clips have no labels")
        self.adapter_file = options.adapter_file or ADAPTER_FILE
        given = options.resume_adapter_file if trains else self.adapter_file
        adapter = read_adapter_of_first(self.world, given)
        if adapter and adapter.config.classifier is None:
            raise AdapterError(f"{given}: this adapter transcribes, and names no classes; train one with classify")
        if trains and self.world.speaks and not options.resume:
            check_places(self.adapter_file, adapter.config if adapter else None, options.overwrite)
        self.base_name, self.base_path = find_model(options.model, adapter.config if adapter else None, given)
        self.callback.load(describe_model(self.base_name, self.base_path))
        self.model = self._load_base(trains)
        self.options = replace(options, model=self.base_name, adapter_file=self.adapter_file)
        self.bad: list[DataError] = []
        self.clips = load_all_clips(self.options, self.callback, self.bad)
        if not options.skip_bad:
            check_none_bad(self.bad)  # first, because classes may be missing
        if self.classes.clips_per_class:
            self.clips = choose_clips(self.clips, self.classes.clips_per_class, self.training.seed)
        self.callback.duplicates(find_duplicates(self.clips))
        self.classifier = adapter.config.classifier if adapter else None
        self._read(self.classifier.classes if self.classifier else find_classes(self.clips["train"]), trains, tests)
        self.has_adapter = True  # or will have one

    def _load_base(self, trains: bool) -> Whisper:
        return load_model(self.base_name, mx.float32 if trains and self.training.dtype else None, self.base_path)

    def _read(self, names: tuple[str, ...], trains: bool, tests: bool) -> None:
        """Make examples of the clips, and report all that cannot be used together."""
        self.names = names
        cache = ArrayCache(self.training.feature_cache * 1e9, "features-")
        wanted = [split for split in SPLITS if (tests or not trains if split == "test" else trains)]
        self.examples: dict[str, list[Example]] = {
            split: build_class_examples(self.clips[split], names, self.model.dims.n_mels, self.bad, cache)
            for split in wanted
        }
        if self.bad and self.options.skip_bad:
            self.callback.skip(self.bad)
        else:
            check_none_bad(self.bad)
        for split in wanted:
            if split != "valid" and not self.examples[split]:
                folders = ", ".join(each.folder for each in self.options.folders)
                raise DataError(f"{folders}: there are no {split} clips")

    def train(self, settings: Any) -> None:
        """Train a classifier and save it.

        Args:
            settings: the configuration of the method, such as LoRAConfig. None stands for that of the adapter to resume
                from.

        Raises:
            AdapterError, OSError, ValueError, FloatingPointError: as `finetune` raises them.
        """
        train_set, weights = self.examples["train"], dict[str, float]()
        counts = Counter(example.text for example in train_set)
        self.callback.note("Train clips: " + ", ".join(f"{counts[name]} {name}" for name in self.names))
        classifier = self.classifier or self._new_classifier(train_set)
        shares = np.array([counts[name] for name in self.names]) / len(train_set)
        if self.classes.balance == "weights":
            weights = class_weights(train_set, self.names)
        elif self.classes.balance == "sampling":
            train_set = balance(train_set, self.training.seed)
        end = finetune(
            self.model,
            train_set,
            self.examples["valid"],
            self.options,
            self.training,
            settings,
            self.callback,
            self.augmentation,
            make_objective=partial(Classifying, classifier=classifier, weights=weights, shares=shares),
            classifier=classifier,
        )
        self.has_adapter = not end.base_is_best

    def _new_classifier(self, train_set: list[Example]) -> Classifier:
        classifier = Classifier(self.classes.head, self.names)
        if classifier.on_encoder:
            return classifier
        if not self.model.is_multilingual:
            raise OptionError(f"`head` {classifier.head} requires a multilingual model, and this one is English-only")
        languages = map_languages(self.model, train_set, self.names)
        for name, codes in zip(self.names, languages, strict=True):
            shown = " ".join(codes[:12]) + (f" and {len(codes) - 12} more" if len(codes) > 12 else "")
            self.callback.note(f"Languages that stand for {name}: {shown}")
        return replace(classifier, languages=languages)

    @property
    def test_clips(self) -> list[Clip]:
        """The clips that are tested, without those that were skipped."""
        examples = self.examples["test"]
        found = []
        for places in whole_clips(examples):
            first, last = examples[places[0]].clip, examples[places[-1]].clip
            if first and last:
                found.append(first if first is last else replace(first, end=last.end))
        return found

    def test(self) -> tuple[ClassEvaluation, ClassEvaluation]:
        """Test the best adapter on the test clips.

        Returns:
            How well it names them, and how well naming the most frequent class of these clips does.

        Raises:
            DataError: a clip cannot be decoded.
            OptionError: training gave no classifier.
        """
        adapter = read_adapter_of_first(self.world, self.adapter_file) if self.has_adapter else None
        if adapter is None or adapter.config.classifier is None:
            raise OptionError("there is no classifier to test: none was better than naming the most frequent class")
        if adapter_modules(self.model):  # the newest one, but the best one is tested
            self.model = self._load_base(trains=False)
        load_fused(self.model, adapter, self.base_name)
        seen = [clip for clip in self.clips["test"] if audio_hash(clip) in adapter.config.clips]
        examples = decodable(self.examples["test"], late_errors(self.options, self.callback, self.world))
        self.examples["test"] = examples
        self.callback.test(TestStart(self.adapter_file, len(self.test_clips), seen))
        classifier = adapter.config.classifier
        shares = np.bincount([each.tokens[0] for each in examples], minlength=len(self.names)) / len(examples)
        result = evaluate_classes(self.model, examples, classifier, "Testing", self.world)
        return result, majority(examples, classifier, shares)
