"""Deal clips into folds, each of which validates a model that was trained on the others."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from mlx_whisper_lora.data.clip import Clip, DataError
from mlx_whisper_lora.data.content import recording_key


@dataclass(frozen=True)
class Folds:
    """Clips in folds.

    Attributes:
        places: the indexes of the clips of each fold.
        note: how they were dealt, as a sentence.
    """

    places: list[list[int]]
    note: str


def deal_folds(clips: Sequence[Clip], count: int, seed: int) -> Folds:
    """Deal clips into folds of about one size.

    All clips of a speaker are in one fold, if the speakers are known. If they are not, or there is only one, all
    stretches of a recording are, if there are enough recordings.

    Args:
        clips: the clips.
        count: the number of folds.
        seed: decides which group of clips comes into which fold.

    Raises:
        DataError: there are fewer clips than folds, or several speakers, but fewer than folds.
    """
    speakers = [clip.speaker or "" for clip in clips]
    recordings = [recording_key(clip) for clip in clips]
    n_speakers, n_recordings = len(set(speakers)), len(set(recordings))
    if all(speakers) and 1 < n_speakers < count:
        raise DataError(
            f"the clips have {n_speakers} speakers, and {count} folds need one each: give at most {n_speakers} folds"
        )
    why = "they have one speaker" if all(speakers) else "their speakers are not known"
    if all(speakers) and n_speakers >= count:
        return Folds(_deal(speakers, count, seed), f"no speaker of the {n_speakers} is in two of them")
    if n_recordings >= count:
        return Folds(_deal(recordings, count, seed), f"no recording is in two of them ({why})")
    if len(clips) < count:
        raise DataError(f"there are {len(clips)} clips, and {count} folds need one each: give fewer folds")
    note = f"clip by clip, because {why}, and they are of {n_recordings} recording" + "s" * (n_recordings > 1)
    return Folds(_deal([f"{i:08}" for i in range(len(clips))], count, seed), note)


def _deal(keys: Sequence[str], count: int, seed: int) -> list[list[int]]:
    """Deal clips into folds. Those with one key come into one fold, the largest groups first."""
    groups: dict[str, list[int]] = {}
    for place, key in enumerate(keys):
        groups.setdefault(key, []).append(place)
    dealt = [groups[key] for key in sorted(groups)]
    random.Random(seed).shuffle(dealt)
    folds: list[list[int]] = [[] for _ in range(count)]
    for group in sorted(dealt, key=len, reverse=True):
        min(folds, key=len).extend(group)
    return [sorted(fold) for fold in folds]
