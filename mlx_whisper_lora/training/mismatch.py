"""Find clips whose text is not that of their recording, by what a model hears in it.

A model that knows a language well hears nearly the text. One that hardly knows it hears something that sounds alike,
perhaps in the script of a related language, and makes many errors in every clip. So errors alone do not show a wrong
text. The own text of a clip is compared with other texts of the data set: if it is no nearer to the transcript than
they are, it is suspicious. (The loss of the text, on this recording less that on others, shows wrong texts in languages
that the model knows alone: whisper-base gives a text in Malayalam the same loss on any recording.)
"""

import random
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from rapidfuzz.distance import Indel

from mlx_whisper_lora.data.clip import Clip
from mlx_whisper_lora.data.dataset import build_examples
from mlx_whisper_lora.data.inspection.findings import Finding, InspectedClip
from mlx_whisper_lora.data.inspection.sounds import sounds
from mlx_whisper_lora.training.evaluation import transcribe_examples
from mlx_whisper_lora.whisper.audio.context import AUTO
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.text.normalizers import NORMALIZERS
from mlx_whisper_lora.whisper.transcription.options import TranscriptionOptions

_OTHERS = 30  # texts of similar length that the own text of a clip is compared with
_LOOP = re.compile(r"(.{1,60}?)\1{2,}")  # three times the same, or more
_LOOPED = 0.7  # the share of a transcript that is left without loops
_REPEATS = 0.15  # a transcript with loops has to fit that much worse to be as suspicious
_BATCH = 16  # clips that are heard together
# The most likely tokens are enough to compare. A transcript that repeats itself ends early.
_HEARING = TranscriptionOptions(
    temperature=0.0, sample_len=96, without_timestamps=True, no_speech_threshold=None, audio_context=AUTO
)


def find_mismatches(
    model: Whisper, clips: Sequence[InspectedClip], count: int, max_clips: int | None = None
) -> list[Finding]:
    """Listen to clips, and return those whose text is the least like the transcript, the most suspicious first.

    Args:
        model: The model that listens.
        clips: The clips. Those without a text, and those that training leaves out, are not heard.
        count: How many to return.
        max_clips: The most clips to listen to, chosen at random. By default, all of them.

    Raises:
        DataError: The model lacks the language of a clip, or it is not known, or a recording cannot be read.
    """
    clips = [each for each in clips if each.clip.text]
    if max_clips is not None and max_clips < len(clips):
        clips = random.Random(0).sample(clips, max_clips)
    built = build_examples([each.clip for each in clips], model)
    dropped = {id(each.clip) for each in built.dropped}
    clips = [each for each in clips if id(each.clip) not in dropped]
    heard = transcribe_examples(model, built.examples, _HEARING, _BATCH, "Listening")
    fits = measure_fits([each.clip for each in clips], heard)
    order = sorted(range(len(clips)), key=lambda i: -fits[i].suspicion)[:count]
    return [replace(clips[i].finding("mismatch", fits[i].describe()), heard=heard[i]) for i in order]


class Fit(NamedTuple):
    """How far a transcript is from texts: the share of their sounds that differ, from 0 to 1."""

    own: float  # from the text of its clip
    nearest: float  # from the nearest of other texts of that length
    repeats: bool  # whether the transcript repeats itself without end, and so says little

    @property
    def suspicion(self) -> float:
        """The order of clips: 0 or above if another text fits as well."""
        return self.own - self.nearest - (_REPEATS if self.repeats else 0)

    def describe(self) -> str:
        own, nearest = round(100 * self.own), round(100 * self.nearest)
        return f"the text differs from what is heard by {own} %, the nearest of other texts by {nearest} %"


def measure_fits(clips: Sequence[Clip], heard: Sequence[str]) -> list[Fit]:
    """Compare the transcript of each clip with its own text, and with others.

    Args:
        clips: The clips.
        heard: Their transcripts.
    """
    keys = [_key(clip.text, clip.language) for clip in clips]
    by_length = sorted(set(keys), key=lambda key: (len(key), key))
    places = {key: place for place, key in enumerate(by_length)}
    fits: list[Fit] = []
    for clip, own, transcript in zip(clips, keys, heard, strict=True):
        once = _LOOP.sub(r"\1", transcript)
        key = _key(once, clip.language)
        first = max(0, min(places[own] - _OTHERS // 2, len(by_length) - _OTHERS - 1))
        others = [other for other in by_length[first : first + _OTHERS + 1] if other != own]
        nearest = min((Indel.normalized_distance(key, other) for other in others), default=1.0)
        fits.append(Fit(Indel.normalized_distance(key, own), nearest, len(once) < _LOOPED * len(transcript)))
    return fits


def _key(text: str, language: str | None) -> str:
    """Return how a text sounds. In English, Whisper writes "3" for "three"."""
    return sounds(NORMALIZERS["english" if language in ("en", None) else "unicode"](text))
