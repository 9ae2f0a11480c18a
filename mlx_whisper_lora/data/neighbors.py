"""Find which clips can come after one another in a window: the next one of a recording, or another of the speaker."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from os import PathLike

import numpy as np

from mlx_whisper_lora.data.clip import Clip
from mlx_whisper_lora.data.dataset import Example

_LONGEST_GAP = 1.0  # seconds between two clips of a recording; a longer gap may hold speech that no clip has
_OVERLAP = 0.05  # seconds by which such clips may overlap, as subtitles do


class Neighbors:
    """The clips that can share a window, by their numbers in a dataset.

    Clips of one speaker can. If the speaker is not known, clips of one recording can, or else clips of one language
    that have a recording each. Clips of two tasks cannot.

    Args:
        dataset: The examples.
        joinable: The numbers of those that may be joined.

    Attributes:
        group_of: The clips that a clip can share a window with, for each that has others.
        before: The clip that a clip follows in their recording.
        gaps: The seconds between two such clips, the first and the second.
    """

    def __init__(self, dataset: Sequence[Example], joinable: Sequence[int]):
        self._clips = {i: clip for i in joinable if (clip := dataset[i].clip)}
        groups = _group(self._clips, [(example.language, example.task) for example in dataset])
        self.group_of = {i: group for group in groups if len(group) > 1 for i in group}
        self.gaps = self._find_gaps(dataset)
        pairs = list(self.gaps)
        self._after = dict(pairs)
        self.before = {second: first for first, second in pairs}

    def order(self, group: Sequence[int], used: set[int], rng: np.random.Generator, first: int) -> Iterator[int]:
        """Yield clips in the order of a window: the first one, and then all others of its group.

        A clip is followed by the next one of its recording, or else by one that is drawn by chance.

        Args:
            group: The clips.
            used: Clips to skip. It gets those that are yielded.
            rng: Draws.
            first: The first clip.
        """
        left = len(group) - len(used.intersection(group))
        following: int | None = first
        while left:
            i = group[int(rng.integers(len(group)))] if following is None else following
            following = None
            if i not in used:
                used.add(i)
                left -= 1
                yield i
                following = self._after.get(i)

    def stretch(self, i: int, lead: float, seconds: float) -> Clip:
        """Return so many seconds of a recording, from `lead` seconds before a clip on."""
        start = max(self._clips[i].start - lead, 0.0)
        return replace(self._clips[i], start=start, end=start + seconds)

    def _find_gaps(self, dataset: Sequence[Example]) -> dict[tuple[int, int], float]:
        recordings: defaultdict[object, list[int]] = defaultdict(list)
        for i, clip in self._clips.items():
            recordings[_recording(clip)].append(i)
        gaps = {}
        for numbers in recordings.values():
            for first, second in pairwise(sorted(numbers, key=lambda i: self._clips[i].start)):
                gap = self._clips[second].start - self._clips[first].start - dataset[first].seconds
                together = first in self.group_of and second in self.group_of[first]
                if together and -_OVERLAP <= gap <= _LONGEST_GAP:
                    gaps[first, second] = gap
        return gaps


def _recording(clip: Clip) -> object:
    """Return a key for the recording of a clip."""
    return str(clip.audio) if isinstance(clip.audio, (str, PathLike)) else id(clip.audio)


def _group(clips: dict[int, Clip], kinds: Sequence[tuple[str | None, str | None]]) -> list[list[int]]:
    """Return the numbers of clips that can share a window, for each group. Languages and tasks are given for all."""
    sizes = Counter(map(_recording, clips.values()))
    groups: defaultdict[tuple, list[int]] = defaultdict(list)
    for i, clip in clips.items():
        recording = _recording(clip) if clip.speaker is None and sizes[_recording(clip)] > 1 else None
        groups[kinds[i], clip.speaker, recording].append(i)
    return list(groups.values())
