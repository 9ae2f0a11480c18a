"""Find clips whose text is not that of their recording, by what a model hears in it.

A model that knows a language well hears nearly the text. One that hardly knows it hears something that sounds alike,
perhaps in the script of a related language, and makes many errors in every clip. So errors alone do not show a wrong
text. A clip is suspicious if the text of another clip is nearer to its transcript than its own, or nearly as near.

whisper-base listened to 191 clips of Malayalam, of which 20 had their texts swapped. If all 1232 clips are as these,
the first 30 suspects hold 19 of the 20 in this order, 13 if the right texts are in no clip, and 4 in the order of the
distance to the own text. The loss of a text on its recording, less the loss on others, does not separate them at all:
base gives a text in Malayalam the same loss on any recording.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from rapidfuzz import process
from rapidfuzz.distance import Levenshtein

from mlx_whisper_lora.data.clip import Clip
from mlx_whisper_lora.data.dataset import build_examples
from mlx_whisper_lora.data.inspection.findings import Finding, InspectedClip
from mlx_whisper_lora.data.inspection.sounds import sounds
from mlx_whisper_lora.training.evaluation import transcribe_examples
from mlx_whisper_lora.whisper.audio.context import AUTO
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.text.normalizers import NORMALIZERS
from mlx_whisper_lora.whisper.transcription.options import TranscriptionOptions

_OTHERS = 2000  # texts that a transcript is compared with
_LOOP = re.compile(r"(.{1,60}?)\1{2,}|(.{10,100}?)\2+")  # anything three times, or a phrase twice
_LOOPED = 0.7  # the share of a transcript that is left without loops
_BATCH = 16  # clips that are heard together
# Of a transcript, 96 tokens are enough to compare. One that repeats itself is sampled again, once.
_HEARING = TranscriptionOptions(
    temperature=(0.0, 0.4),
    logprob_threshold=None,
    no_speech_threshold=None,
    sample_len=96,
    without_timestamps=True,
    audio_context=AUTO,
)


def find_mismatches(
    model: Whisper, clips: Sequence[InspectedClip], count: int, max_clips: int | None = None
) -> list[Finding]:
    """Listen to clips, and return those whose text fits the transcript worst, the most suspicious first.

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
    order = sorted(range(len(clips)), key=lambda i: (fits[i].repeats, -fits[i].suspicion))[:count]
    return [replace(clips[i].finding("mismatch", fits[i].describe()), heard=heard[i]) for i in order]


class Fit(NamedTuple):
    """How far a transcript is from texts: the share of their sounds to change, from 0 to 1."""

    own: float  # from the text of its clip
    nearest: float  # from the nearest of other texts
    other: Clip | None  # the clip of that text; None if all texts are the same
    repeats: bool  # whether the transcript repeats itself, and so says little

    @property
    def suspicion(self) -> float:
        """The order of clips: from -1 if the own text alone fits, over 0, to 1 if another text alone does."""
        return (self.own - self.nearest) / (self.own + self.nearest)  # the texts differ, so one distance is not 0

    def describe(self) -> str:
        other = f"; that of {self.other.name} differs by {round(100 * self.nearest)} %" if self.other else ""
        return f"the text differs from what is heard by {round(100 * self.own)} %{other}"


def measure_fits(clips: Sequence[Clip], heard: Sequence[str]) -> list[Fit]:
    """Compare the transcript of each clip with its own text, and with those of other clips.

    Args:
        clips: The clips.
        heard: Their transcripts.
    """
    texts = [_key(clip.text, clip.text_language) for clip in clips]
    clip_of = dict(zip(texts, clips, strict=True))
    pool = sorted(clip_of)
    if len(pool) > _OTHERS:
        pool = random.Random(0).sample(pool, _OTHERS)
    fits: list[Fit] = []
    for clip, text, transcript in zip(clips, texts, heard, strict=True):
        once = _LOOP.sub(lambda match: match[1] or match[2], transcript)
        key = _key(once, clip.text_language)
        others = [other for other in pool if other != text]
        found = process.extractOne(key, others, scorer=Levenshtein.normalized_distance)
        nearest, other = (found[1], clip_of[found[0]]) if found else (1.0, None)
        own = Levenshtein.normalized_distance(key, text)
        fits.append(Fit(own, nearest, other, len(once) < _LOOPED * len(transcript)))
    return fits


def _key(text: str, language: str | None) -> str:
    """Return how a text sounds. In English, Whisper writes "3" for "three"."""
    return sounds(NORMALIZERS["english" if language in ("en", None) else "unicode"](text))
