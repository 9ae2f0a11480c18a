"""Find clips whose text is not that of their recording, by what a model hears in it.

A model that knows a language well hears nearly the text. One that hardly knows it hears something that sounds alike,
perhaps in the script of a related language, and makes many errors in every clip. So errors alone do not show a wrong
text. The own text of a clip is compared with other texts of the data set: if it is no nearer to the transcript than
they are, it is suspicious. (The loss of the text, on this audio and on others, does not show it: whisper-base gives a
text in Malayalam the same loss on any recording, though it hears the words.)
"""

import functools
import random
import statistics
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from rapidfuzz.distance import Levenshtein

from mlx_whisper_lora.data.dataset import build_examples
from mlx_whisper_lora.data.inspection.findings import Finding, InspectedClip
from mlx_whisper_lora.data.inspection.sounds import sounds
from mlx_whisper_lora.data.inspection.texts import main_script
from mlx_whisper_lora.training.evaluation import transcribe_examples
from mlx_whisper_lora.whisper.audio.context import AUTO
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.text.normalizers import normalize_unicode
from mlx_whisper_lora.whisper.transcription.options import TranscriptionOptions

_OTHERS = 30  # texts that the own text of a clip is compared with
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
    distances = text_distances([each.clip.text for each in clips], heard)
    order = sorted(range(len(clips)), key=lambda i: -distances[i].suspicion)[:count]
    return [replace(clips[i].finding("mismatch", distances[i].describe()), heard=heard[i]) for i in order]


class Distances(NamedTuple):
    """How far a transcript is from texts: the share of characters to change, from 0 to 1."""

    own: float  # from the text of its clip
    others: float  # from other texts of that length, on average

    @property
    def suspicion(self) -> float:
        """The order of clips: near 0 or above if the own text fits no better than others."""
        return self.own - self.others

    def describe(self) -> str:
        own, others = (round(100 * share) for share in self)
        return f"{own} % of the text is heard differently; of other texts of its length, {others} % on average"


def text_distances(texts: Sequence[str], heard: Sequence[str]) -> list[Distances]:
    """Return how far the transcript of each clip is from its own text, and from others.

    Args:
        texts: The texts of the clips.
        heard: The transcripts.
    """
    letters = [_letters(text) for text in texts]
    distinct = {letters[i]: i for i in range(len(texts))}  # data sets of digits have few texts
    by_length = sorted(distinct, key=len)
    places = {each: place for place, each in enumerate(by_length)}
    found = []
    for i, transcript in enumerate(heard):
        key = _letters if main_script(transcript) == main_script(texts[i]) else _sounds
        first = max(0, min(places[letters[i]] - _OTHERS // 2, len(by_length) - _OTHERS - 1))
        others = [texts[distinct[each]] for each in by_length[first : first + _OTHERS + 1] if each != letters[i]]
        own, *far = (Levenshtein.normalized_distance(key(transcript), key(text)) for text in (texts[i], *others))
        found.append(Distances(own, statistics.mean(far) if far else 1.0))
    return found


@functools.cache
def _letters(text: str) -> str:
    return "".join(normalize_unicode(text).split())


_sounds = functools.cache(sounds)
