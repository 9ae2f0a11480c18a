"""Turn clips with labels into examples of classes. The label of a clip, such as its dialect, is its text."""

import itertools
import math
import random
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import replace

from mlx_whisper_lora.data.array_cache import ArrayCache
from mlx_whisper_lora.data.clip import Clip, DataError, Splits
from mlx_whisper_lora.data.dataset import Example, make_features
from mlx_whisper_lora.data.features import ClipFeatures, FeatureReader, header_length, read_samples
from mlx_whisper_lora.whisper.audio.constants import CHUNK_LENGTH, SAMPLE_RATE
from mlx_whisper_lora.whisper.audio.load import source_name
from mlx_whisper_lora.whisper.terminal import progress_bar

BALANCES = ("sampling", "weights", "none")


def find_classes(clips: Sequence[Clip]) -> tuple[str, ...]:
    """Return the labels of training clips, sorted.

    Raises:
        DataError: a clip has no label, or all have the same.
    """
    if blank := next((clip for clip in clips if not clip.text), None):
        raise blank.error(f"{blank.name}: it has no label")
    classes = tuple(sorted({clip.text for clip in clips}))
    if len(classes) < 2:
        found = f"all train clips have the label {classes[0]!r}" if classes else "there are no train clips"
        raise DataError(f"{found}: two classes are needed to tell them apart")
    return classes


def build_class_examples(
    clips: Sequence[Clip], classes: Sequence[str], n_mels: int, bad: list[DataError], cache: ArrayCache
) -> list[Example]:
    """Turn clips into examples whose only token is the number of their class. Long clips become several windows.

    Args:
        clips: the clips of one split.
        classes: the names of the classes.
        n_mels: mel bands of the model.
        bad: gets an error for each clip that cannot be used, which is skipped.
        cache: keeps the log-mels that were computed.
    """
    numbers = {name: number for number, name in enumerate(classes)}
    reader = FeatureReader(n_mels, CHUNK_LENGTH, cache)
    examples = []
    for clip in progress_bar(clips, desc="Reading clips", unit="clip"):
        try:
            if clip.text not in numbers:
                known = ", ".join(classes)
                raise clip.error(f"{clip.name}: its label is {clip.text!r}, and the classes are {known}"[:400])
            for window in _windows(clip):
                features = make_features(window, reader, header_length(window))
                if features is None:
                    raise clip.error(f"{clip.name}: longer than its header says; export it again")
                audio = features.audio if isinstance(features, ClipFeatures) else None
                example = Example(features, (numbers[clip.text],), 0, text=clip.text, audio=audio, clip=window)
                examples += [example] * clip.weight
        except DataError as error:
            bad.append(error)
    return examples


def _windows(clip: Clip) -> list[Clip]:
    """Return the parts of a clip of up to 30 s, of the same length, or the clip itself if it is short."""
    seconds = header_length(clip)
    if seconds is None:
        samples = read_samples(clip, math.inf)
        seconds = 0.0 if samples is None else len(samples) / SAMPLE_RATE
    count = math.ceil(round(seconds / CHUNK_LENGTH, 6))
    if count < 2:
        return [clip]
    bounds = [clip.start + seconds * i / count for i in range(count + 1)]
    return [replace(clip, start=low, end=high) for low, high in itertools.pairwise(bounds)]


def whole_clips(examples: Sequence[Example]) -> list[list[int]]:
    """Return the places of the windows of each clip, in the order of the clips."""
    places: dict[Hashable, list[int]] = {}
    for place, example in enumerate(examples):
        clip = example.clip
        places.setdefault((clip.origin, source_name(clip.audio)) if clip else place, []).append(place)
    return [*places.values()]


def choose_clips(splits: Splits, count: int, seed: int) -> Splits:
    """Return splits with at most so many training clips of each class, chosen at random."""
    clips = [*splits["train"]]
    random.Random(seed).shuffle(clips)
    taken: Counter[str] = Counter()
    chosen = []
    for clip in clips:
        if taken[clip.text] < count:
            taken[clip.text] += 1
            chosen.append(clip)
    return splits | {"train": chosen}


def balance(examples: Sequence[Example], seed: int) -> list[Example]:
    """Return examples in which each class is as frequent as the most frequent one. Rare ones are repeated."""
    by_class: dict[str, list[Example]] = {}
    for example in examples:
        by_class.setdefault(example.text, []).append(example)
    most = max(map(len, by_class.values()))
    rng = random.Random(seed)
    balanced: list[Example] = []
    for group in by_class.values():
        whole, part = divmod(most, len(group))
        balanced += group * whole + rng.sample(group, part)
    return balanced


def class_weights(examples: Sequence[Example], classes: Sequence[str]) -> dict[str, float]:
    """Return the weight of a clip of each class in the loss, with which all classes count alike. Their mean is 1."""
    counts = Counter(example.text for example in examples)
    there = sum(counts[name] > 0 for name in classes)
    return {name: len(examples) / (there * counts[name]) for name in classes if counts[name]}
