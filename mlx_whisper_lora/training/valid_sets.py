"""Validation sets besides that of a run, to watch what else its adapter changes: other speakers, or other languages."""

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from mlx_whisper_lora.data.clip import SPLITS, Clip, DataError
from mlx_whisper_lora.data.content import audio_hash
from mlx_whisper_lora.data.sources import load_clips
from mlx_whisper_lora.training.run_options import RunOptions

T = TypeVar("T")


def load_valid_sets(
    options: RunOptions, val_clips: int, train_clips: Sequence[Clip], bad: list[DataError]
) -> dict[str, list[Clip]]:
    """Read the clips of `options.valid_data`, whatever their split, without those that are trained on.

    Args:
        options: the folders, and how they are read.
        val_clips: the most clips of a folder, chosen at random but always the same, or -1 for all.
        train_clips: the training clips of the run.
        bad: gets an error for each row that cannot be used.

    Returns:
        The clips of each folder, by the shortest name that tells it from the others.

    Raises:
        DataError: a folder cannot be read, or has no other clips than those of training.
    """
    trained = {audio_hash(clip) for clip in train_clips} - {None} if options.valid_data else set()
    ends = Counter(Path(folder).name for folder in options.valid_data)
    sets = {}
    for folder in options.valid_data:
        splits = load_clips(folder, bad, options.sources, options.hub)
        clips = sample_clips([clip for clips in splits.values() for clip in clips], val_clips)
        clips = [clip for clip in clips if audio_hash(clip) not in trained]
        if not clips:
            raise DataError(f"{folder}: there are no clips to validate on but those that are trained on")
        name = Path(folder).name
        sets[name if ends[name] == 1 and name not in SPLITS else folder] = clips
    return sets


def sample_clips(clips: Sequence[T], count: int) -> Sequence[T]:
    """Return so many of some clips, chosen at random but always the same, or all of them for -1."""
    return random.Random(0).sample(clips, count) if 0 < count < len(clips) else clips
