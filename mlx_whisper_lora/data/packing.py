"""Join clips into windows of up to 30 s, as Whisper was trained on: segments with times, after the text before them.

A model that is tuned on single clips alone loses its times, and repeats itself in long recordings. Radford et al.,
"Robust Speech Recognition via Large-Scale Weak Supervision" (2022), section 2.3.
"""

import functools
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from mlx_whisper_lora.data.array_cache import ArrayCache
from mlx_whisper_lora.data.dataset import Example
from mlx_whisper_lora.data.features import ClipFeatures, FeatureReader
from mlx_whisper_lora.data.labels import Label, add_previous, learn_language, transcript_tokens, window_tokens
from mlx_whisper_lora.data.neighbors import Neighbors
from mlx_whisper_lora.data.window_features import Part, WindowFeatures
from mlx_whisper_lora.whisper.audio.constants import FRAMES_PER_SECOND
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.text.tokenizer import Tokenizer

_SHORTEST = 8.0  # seconds of a window
_FULL_SHARE = 0.5  # of the draws: windows as long as the encoder sees, as those of a long recording are
_CUT_SHARE = 0.75  # of the full windows with timestamps: their end may cut a clip
_PROMPT_SHARE = 0.5  # of the windows: they have text before them
_PAUSES = (0.2, 1.5)  # seconds between clips that do not follow each other
_LONGEST_START = 1.0  # seconds before the first clip: decoding lets no transcript start later
_HEARD = 0.5  # seconds of a cut clip in its window, so that its start is heard
_SAMPLE = 200  # windows that are laid out to describe them all


class _Placed(NamedTuple):
    """A clip in a window."""

    clip: int  # its number in the dataset
    start: float  # seconds from the start of the window
    stop: float  # may be beyond the end of the window
    follows: bool  # whether the audio before it is that of its recording, and not silence


class _Plan(NamedTuple):
    """A window before it is computed."""

    placed: list[_Placed]
    seconds: float
    timed: bool  # whether the label has timestamps
    used: set[int]  # clips of the window, and perhaps one more


class Packer:
    """Draws windows of several clips, as `Neighbors` finds them.

    Clips that follow each other in a recording stay together, with the audio between them. Others are drawn by chance
    and joined with pauses. The log-mel of a window is computed when it is read, and not kept.

    Args:
        dataset: The examples.
        model: The model that they are for.
        task: The task of examples that do not have one.
        seconds: The longest window.
        max_tokens: The most tokens of text and times in a window. Half of the windows have fewer clips if need be. The
            others are full of audio, and their text is cut there: transcription stops there too, and continues in the
            next window. None stands for half of the text context.
        timestamps_share: The share of the windows whose labels have timestamps.

    Attributes:
        left_out: The number of clips that cannot be joined, for each reason.
    """

    def __init__(
        self,
        dataset: Sequence[Example],
        model: Whisper,
        task: str,
        *,
        seconds: float,
        max_tokens: int | None = None,
        timestamps_share: float,
    ):
        self.dataset, self.dims = dataset, model.dims
        self.longest, self.timestamps_share = seconds, timestamps_share
        self.max_tokens = max_tokens or self.dims.n_text_ctx // 2
        self._tokenizer_of = functools.cache(lambda language, own: model.tokenizer(language, own or task))
        self.left_out: Counter[str] = Counter()
        self._reader = FeatureReader(self.dims.n_mels, seconds + 1, ArrayCache(0, ""))  # of several clips at once
        different = {id(example): i for i, example in enumerate(dataset)}  # a clip of weight 2 is there twice
        joinable = [i for i in different.values() if self._can_be_joined(i)]
        self._neighbors = Neighbors(dataset, joinable)
        self._numbers = {id(dataset[i]): i for i in self._neighbors.group_of}
        if alone := len(joinable) - len(self):
            self.left_out["without another one to join"] = alone

    def __len__(self) -> int:
        """Return the number of clips that can be joined."""
        return len(self._numbers)

    def joins(self, example: Example) -> bool:
        """Return whether an example of the dataset can be joined with others."""
        return id(example) in self._numbers

    def draw(self, examples: Sequence[Example], rng: np.random.Generator) -> list[Example]:
        """Return windows of similar length. Each starts with one of the examples, which all can be joined."""
        seconds = self._draw_length(max(example.seconds for example in examples), rng)
        return [self._window(self._numbers[id(example)], seconds, rng) for example in examples]

    def describe(self) -> str:
        """Describe the average window, and the clips that cannot be joined."""
        left_out = ", ".join(f"{count} {reason}" for reason, count in self.left_out.items())
        if not len(self):
            return f"no clips can be joined to windows: {left_out}"
        rng = np.random.default_rng(0)
        clips = rng.choice(list(self._numbers.values()), _SAMPLE).tolist()
        plans = [self._plan(i, self._draw_length(self.dataset[i].seconds, rng), rng) for i in clips]
        seconds, n_clips = np.mean([(plan.seconds, len(plan.placed)) for plan in plans], axis=0)
        windows = f"windows join {len(self)} clips, on average {n_clips:.1f} in {seconds:.0f} s"
        return f"{windows}; {self.left_out.total()} clips cannot be joined: {left_out}" if left_out else windows

    def _can_be_joined(self, i: int) -> bool:
        example, longest = self.dataset[i], self.longest - _PAUSES[0] - _HEARD
        if example.clip is None:
            self.left_out["not made of one clip"] += 1
        elif not example.text.strip():
            self.left_out["without text"] += 1
        elif isinstance(example.features, np.ndarray):
            self.left_out["whose audio can be read only once"] += 1
        elif example.seconds > longest:
            self.left_out[f"longer than {longest:g} s"] += 1
        else:
            return True
        return False

    def _draw_length(self, longest: float, rng: np.random.Generator) -> float:
        """Return the seconds of the windows of a step, which start with clips of up to `longest` seconds."""
        least = min(max(_SHORTEST, longest), self.longest)
        return self.longest if rng.random() < _FULL_SHARE else rng.uniform(least, self.longest)

    def _window(self, i: int, seconds: float, rng: np.random.Generator) -> Example:
        plan = self._plan(i, seconds, rng)
        tokenizer = self._tokenizer_of(self.dataset[i].language, self.dataset[i].task)
        label = self._label(plan, tokenizer)
        if rng.random() < _PROMPT_SHARE:
            previous = self._previous_tokens(i, plan, tokenizer, rng)
            room = min(self.dims.n_text_ctx // 2, self.dims.n_text_ctx - len(label.tokens)) - 1
            label = add_previous(label, tokenizer, previous[-room:] if room > 0 else ())
        text = " ".join(self._text(each.clip) for each in plan.placed)
        return Example(
            self._features(plan),
            *learn_language(label, tokenizer),
            text=text,
            language=self.dataset[i].language,
            task=self.dataset[i].task,
            timestamp_begin=tokenizer.timestamp_begin,
            once=True,
        )

    def _plan(self, i: int, seconds: float, rng: np.random.Generator) -> _Plan:
        """Plan a window of up to `seconds` that starts with clip `i`."""
        timed = bool(rng.random() < self.timestamps_share)
        cuts = timed and seconds == self.longest and bool(rng.random() < _CUT_SHARE)
        used: set[int] = set()
        order = self._neighbors.order(self._neighbors.group_of[i], used, rng, i)
        placed = self._lay_out(order, self._neighbors.before.get(i), seconds, cuts, rng)
        return _Plan(placed, min(placed[-1].stop, seconds), timed, used)

    def _lay_out(
        self, order: Iterable[int], before: int | None, seconds: float, cuts: bool, rng: np.random.Generator
    ) -> list[_Placed]:
        """Place clips one after another while they fit.

        Args:
            order: The clips. The first one alone always fits.
            before: The clip that the first one follows in its recording.
            seconds: The longest window.
            cuts: Whether the window may cut the last clip, and have more than `max_tokens`.
            rng: Draws the pauses.
        """
        placed: list[_Placed] = []
        n_tokens = 0
        for i in order:
            gap = None if before is None else self._neighbors.gaps.get((before, i))
            if placed:
                start = placed[-1].stop + (rng.uniform(*_PAUSES) if gap is None else gap)
            else:
                start = self._first_start(gap, seconds - self.dataset[i].seconds, rng)
            stop = start + self.dataset[i].seconds
            n_tokens += self.dataset[i].n_targets + 1  # two timestamps more, and not the end of the text
            if stop > seconds and not (cuts and start + _HEARD <= seconds):
                break
            if n_tokens > self.max_tokens and placed and not cuts:
                break
            placed.append(_Placed(i, start, stop, gap is not None))
            before = i
        return placed

    def _first_start(self, gap: float | None, room: float, rng: np.random.Generator) -> float:
        """Return the start of the first clip, after the audio since the clip before, or after a pause or none."""
        if gap is None:
            gap = rng.uniform(_PAUSES[0], _LONGEST_START) if rng.random() < 0.5 else 0.0
        return gap if 0 <= gap <= room else 0.0

    def _label(self, plan: _Plan, tokenizer: Tokenizer) -> Label:
        """Return the label of a window, cut to what transcription writes of it."""
        texts = [self._text(each.clip) for each in plan.placed]
        if plan.timed:
            # Subtitles may overlap a little, but timestamps do not go back.
            stops: list[float | None] = [min(each.stop, after.start) for each, after in pairwise(plan.placed)]
            stops.append(plan.placed[-1].stop if plan.placed[-1].stop <= plan.seconds else None)
            starts = [each.start for each in plan.placed]
            label = window_tokens(tokenizer, list(zip(starts, stops, texts, strict=True)))
        else:
            label = transcript_tokens(tokenizer, " ".join(texts))
        n_tokens = min(label.prompt_length + self.max_tokens, self.dims.n_text_ctx)
        return label if len(label.tokens) <= n_tokens + 1 else label._replace(tokens=label.tokens[:n_tokens])

    def _previous_tokens(self, i: int, plan: _Plan, tokenizer: Tokenizer, rng: np.random.Generator) -> tuple[int, ...]:
        """Return the tokens of the window before that of clip `i`, as transcription wrote them.

        It has the clips that come before in the recording, or else some of the group that are not in the window.
        """
        neighbors = self._neighbors
        order: list[int] = []
        room, n_tokens, first = self.longest - _LONGEST_START, self.max_tokens, i
        while (before := neighbors.before.get(first)) is not None and before not in plan.used:
            room -= self.dataset[before].seconds + neighbors.gaps[before, first]
            n_tokens -= self.dataset[before].n_targets + 1
            if min(room, n_tokens) < 0:
                break
            order, first = [before, *order], before
        group = neighbors.group_of[i]
        drawn = neighbors.order(group, plan.used, rng, group[int(rng.integers(len(group)))])
        placed = self._lay_out(order or drawn, None, self.longest, False, rng)
        if not placed:
            return ()
        tokens, start = self._label(_Plan(placed, self.longest, plan.timed, set()), tokenizer)
        return tokens[start:-1]

    def _features(self, plan: _Plan) -> WindowFeatures:
        """Return how the log-mel of a window is computed. Clips that follow each other are read together."""
        runs: list[list[_Placed]] = []
        for each in plan.placed:
            if runs and each.follows:
                runs[-1].append(each)
            else:
                runs.append([each])
        parts = [self._part(run, plan.seconds) for run in runs]
        return WindowFeatures(parts, round(plan.seconds * FRAMES_PER_SECOND), self.longest, self.dims.n_mels)

    def _part(self, run: Sequence[_Placed], seconds: float) -> Part:
        """Return the audio of clips that follow each other, in a window of so many seconds."""
        first = run[0]
        lead = first.start if first.follows else 0.0
        features = self.dataset[first.clip].features
        if len(run) == 1 and not lead and not isinstance(features, np.ndarray):
            return Part(round(first.start * FRAMES_PER_SECOND), features)
        length = min(run[-1].stop, seconds) - first.start + lead
        stretch = self._neighbors.stretch(first.clip, lead, length)
        features = ClipFeatures(stretch, 0, round(length * FRAMES_PER_SECOND), self._reader)
        return Part(round((first.start - lead) * FRAMES_PER_SECOND), features)

    def _text(self, i: int) -> str:
        return self.dataset[i].text.strip()
