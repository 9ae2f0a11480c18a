"""The transcript of a clip: the text that the model writes itself, or one that is given, with its words."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import mlx.core as mx
import numpy as np

from mlx_whisper_lora.explanation.options import ALL, NONE
from mlx_whisper_lora.whisper.audio.constants import FRAMES_PER_POSITION
from mlx_whisper_lora.whisper.audio.context import AUTO, context_frames
from mlx_whisper_lora.whisper.audio.load import pad_or_trim
from mlx_whisper_lora.whisper.audio.log_mel import ArrayLogMel
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.option import OptionError
from mlx_whisper_lora.whisper.text.tokenizer import Tokenizer
from mlx_whisper_lora.whisper.transcription.long_form import Transcription
from mlx_whisper_lora.whisper.transcription.options import TranscriptionOptions
from mlx_whisper_lora.whisper.transcription.word_timing import WordTiming, find_alignment, merge_punctuations

_LANGUAGE = re.compile(r"<\|(\w+)\|>")
_TOKEN = re.compile(r"([0-9]+)\.([0-9]+)")  # of a word: both are counted from 1 on


@dataclass(frozen=True)
class Part:
    """A part of a transcript that can be explained: all of it, a word or one of its tokens, or the language."""

    name: str
    tokens: Sequence[int]  # their places among the tokens of the text; none for a language
    language: str | None = None  # a code. It is written before the text.


@dataclass(frozen=True)
class Transcript:
    """A text that the decoder is made to write (teacher forcing)."""

    tokenizer: Tokenizer
    words: list[WordTiming]  # with their punctuation; times are seconds from the start of the window

    @property
    def start(self) -> list[int]:
        """The tokens before the text."""
        return [*self.tokenizer.sot_sequence_including_notimestamps]

    @property
    def tokens(self) -> list[int]:
        """The tokens of the text, without timestamps."""
        return [token for word in self.words for token in word.tokens]

    @property
    def text(self) -> str:
        """The text."""
        return self.tokenizer.decode(self.tokens).strip()

    @property
    def text_language(self) -> str:
        """The code of the language that the text is written in."""
        return "en" if self.tokenizer.task == "translate" else self.tokenizer.language or "en"

    def whole(self) -> Part:
        """Return the text as a part."""
        return Part("transcript", range(len(self.tokens)))

    def word(self, i: int) -> Part:
        """Return a word as a part, by its place from 0 on."""
        ends = [*accumulate(len(word.tokens) for word in self.words)]
        return Part(f"{i + 1} {self.words[i].word.strip()}", range(ends[i] - len(self.words[i].tokens), ends[i]))

    def token(self, i: int, k: int) -> Part:
        """Return a token of a word as a part, by their places from 0 on."""
        place = self.word(i).tokens[k]
        letters = self.tokenizer.decode([self.words[i].tokens[k]]).strip(" \N{REPLACEMENT CHARACTER}")
        return Part(f"{i + 1}.{k + 1} {letters}".strip(), range(place, place + 1))

    def language(self, code: str) -> Part:
        """Return a language as a part. Raise OptionError if the vocabulary lacks it."""
        if self.tokenizer.language is None or code not in self.tokenizer.all_language_codes:
            raise OptionError(f"`words`: this model has no language token <|{code}|>")
        return Part(f"<|{code}|>", (), code)

    def parts(self, chosen: Sequence[str]) -> list[Part]:
        """Return the parts that a user chooses.

        Args:
            chosen: words by number, from 1 on, or by text without regard to case and punctuation; tokens as the number
                of the word and their own, such as 3.2; languages as their tokens, such as <|te|>; ALL stands for the
                language and all words, NONE for no part.

        Raises:
            OptionError: there is no such word or language.
        """
        return [*dict.fromkeys(part for each in chosen for part in self._find(each))]

    def _find(self, given: str) -> list[Part]:
        if given == NONE:
            return []
        if given == ALL:
            language = [self.language(self.tokenizer.language)] if self.tokenizer.language else []
            return [*language, *map(self.word, range(len(self.words)))]
        if code := _LANGUAGE.fullmatch(given):
            return [self.language(code[1])]
        if given.isdecimal() and 1 <= int(given) <= len(self.words):
            return [self.word(int(given) - 1)]
        if place := self._token_place(given):
            return [self.token(*place)]
        found = [i for i, word in enumerate(self.words) if _plain(word.word) == _plain(given)]
        if not found:
            texts = " ".join(f"{i}:{word.word.strip()}" for i, word in enumerate(self.words, start=1))
            raise OptionError(f"`words`: {given!r} is not a word of the transcript, or its number: {texts}")
        return [*map(self.word, found)]

    def _token_place(self, given: str) -> tuple[int, int] | None:
        """Return the places of a word and of its token, from 0 on, if `given` is the number of a token."""
        if not (numbers := _TOKEN.fullmatch(given)):
            return None
        i, k = (int(number) - 1 for number in numbers.groups())
        return (i, k) if 0 <= i < len(self.words) and 0 <= k < len(self.words[i].tokens) else None


def _plain(word: str) -> str:
    """Return a word without case, and without the punctuation around it."""
    marks = TranscriptionOptions.prepend_punctuations + TranscriptionOptions.append_punctuations
    return word.strip(f" {marks}").casefold()


def pad_to_window(model: Whisper, mels: mx.array) -> mx.array:
    """Pad log-mels (B, F, n_mels) of a clip with zeros to the window that the encoder sees.

    It is little more than the clip and not 30 s, which takes a fraction of the time (`whisper/audio/context.py`).
    """
    longest = model.dims.n_audio_ctx * FRAMES_PER_POSITION
    return pad_or_trim(mels, min(context_frames(mels.shape[1], AUTO), longest), axis=1)


def find_transcript(
    model: Whisper, mel: mx.array, language: str | None = None, task: str = "transcribe", text: str | None = None
) -> Transcript:
    """Return the transcript of a clip, decoded without timestamps, or a given text as one.

    Args:
        model: the model.
        mel: the log-mel of the clip, shape (F, n_mels), of up to 30 s.
        language: a code or a name; None detects it.
        task: "transcribe" or "translate".
        text: a text to be explained in the place of the model's.

    Raises:
        ValueError: the model hears no words, or lacks the language or the task.
    """
    options = TranscriptionOptions(language=language, task=task, without_timestamps=True, audio_context=AUTO)
    transcription = Transcription(model, ArrayLogMel(np.array(mel)), options)
    tokenizer = model.tokenizer(transcription.language, task)
    if text is None:
        written = [token for step in transcription.steps() for segment in step.segments for token in segment.tokens]
        tokens = [token for token in written if token < tokenizer.eot]
    else:
        tokens = tokenizer.encode(f" {text.strip()}")
    features = model.encode(pad_to_window(model, mel[None]))[0]
    words = find_alignment(model, tokenizer, tokens, features, len(mel))
    if not words:
        raise ValueError(
            "the model hears no words in this clip: give the text that is to be explained, or another clip"
        )
    return Transcript(tokenizer, merge_punctuations(words, options.prepend_punctuations, options.append_punctuations))
