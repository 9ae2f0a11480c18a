"""Whisper's tokenizer: tiktoken's byte-pair encoding, and Whisper's special tokens.

The vocabularies are openai-whisper's `gpt2.tiktoken` (English-only models) and `multilingual.tiktoken`. Special tokens
follow the text tokens in a fixed order: end of text, start of transcript, languages, tasks, context markers, and the
1,501 timestamps from <|0.00|> to <|30.00|> in steps of 20 ms. The token of a language that was added to the vocabulary
comes last, so that the others keep their ids.
"""

import base64
import functools
import string
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import tiktoken

from mlx_whisper_lora.whisper.assets import ASSETS
from mlx_whisper_lora.whisper.option import OptionError
from mlx_whisper_lora.whisper.text.languages import LANGUAGES, lacking_language, language_code

SECONDS_PER_TIMESTAMP = 0.02
NON_SPEECH = -1  # stands for the non-speech tokens in the option `suppress_tokens`
N_TIMESTAMPS = 1501
TASKS = ("transcribe", "translate")

# The pieces into which GPT-2 splits text before it merges bytes: contractions, letters, digits, other signs, spaces.
_PAT_STR = r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""

_UNSPACED_LANGUAGES = ("zh", "ja", "th", "lo", "my", "yue")  # written without spaces between words
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"  # stands for bytes that are not a complete character

# fmt: off
_SYMBOLS = (
    *"\"#()*+/:;<=>@[\\]^_`{|}~「」『』", "<<", ">>", "<<<", ">>>", "--", "---", "-(", "-[", "('", '("', "((", "))",
    "(((", ")))", "[[", "]]", "{{", "}}", "♪♪", "♪♪♪",
)
# fmt: on
_MUSIC = "♩♪♫♬♭♮♯"  # three bytes each, of which the first two are the same, so the first token suppresses them all


@dataclass(frozen=True)
class Vocabulary:
    """One of Whisper's vocabularies."""

    multilingual: bool
    num_languages: int  # of Whisper's languages
    size: int
    new_language: str | None = None  # the code of a language that was added, whose token is the last one

    def special_tokens(self) -> dict[str, int]:
        """Return the special tokens, such as <|en|>, and their ids. They are the last tokens of the vocabulary."""
        names = _special_names(self.num_languages, self.new_language)
        return {name: self.size - len(names) + i for i, name in enumerate(names)}

    @property
    def languages(self) -> tuple[str, ...]:
        """Return the codes of all languages, in the order of their tokens."""
        return _language_codes(self.num_languages, self.new_language)

    def with_language(self, code: str) -> "Vocabulary":
        """Return the vocabulary with the token of another language at its end. Raise ValueError if it has that one."""
        if code in self.languages:
            raise ValueError(f"this model has the language {code!r} already")
        return replace(self, size=self.size + 1, new_language=code)


def _language_codes(num_languages: int, new_language: str | None) -> tuple[str, ...]:
    return (*tuple(LANGUAGES)[:num_languages], *([new_language] if new_language else []))


def _special_names(num_languages: int, new_language: str | None) -> list[str]:
    """Return the names of the special tokens in the order of their ids."""
    names = ["endoftext", "startoftranscript", *tuple(LANGUAGES)[:num_languages], "translate", "transcribe"]
    names += ["startoflm", "startofprev", "nospeech", "notimestamps"]
    names += [f"{i * SECONDS_PER_TIMESTAMP:.2f}" for i in range(N_TIMESTAMPS)]
    names += [new_language] if new_language else []
    return [f"<|{name}|>" for name in names]


# Of the English-only models, of the multilingual ones, and of those since large-v3.
VOCABULARIES = (Vocabulary(False, 99, 51864), Vocabulary(True, 99, 51865), Vocabulary(True, 100, 51866))


def vocabulary_of_size(n_vocab: int) -> Vocabulary | None:
    """Return the vocabulary of so many tokens, or None if Whisper has none."""
    return next((vocabulary for vocabulary in VOCABULARIES if vocabulary.size == n_vocab), None)


class Words(NamedTuple):
    """A text split into words."""

    texts: list[str]  # of each word
    tokens: list[list[int]]  # of each word


@dataclass(frozen=True)
class Tokenizer:
    """Converts text to tokens and back."""

    encoding: tiktoken.Encoding
    num_languages: int  # of Whisper's languages in the vocabulary
    language: str | None = None  # a code, or None for an English-only model
    task: str | None = None  # "transcribe" or "translate", or None for an English-only model
    suppressed: tuple[int, ...] | None = None  # in the place of `non_speech_tokens`, if a model's files name others
    suppressed_first: tuple[int, ...] | None = None  # in the place of `blank_tokens`
    new_language: str | None = None  # the code of a language that was added to the vocabulary

    def encode(self, text: str, *, allowed_special: Literal["all"] | Collection[str] = ()) -> list[int]:
        """Return the tokens of a text.

        Args:
            text: the text.
            allowed_special: special tokens such as "<|en|>" that become one token; others are encoded as text.
        """
        special = allowed_special if allowed_special == "all" else set(allowed_special)
        return self.encoding.encode(text, allowed_special=special, disallowed_special=())

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of `tokens` without timestamps."""
        return self.encoding.decode([token for token in tokens if token < self.timestamp_begin])

    def decode_with_timestamps(self, tokens: Sequence[int]) -> str:
        """Return the text of `tokens` with timestamps such as <|1.08|>."""
        return self.encoding.decode(list(tokens))

    def special(self, name: str) -> int:
        """Return the id of a special token, named without its <| and |>. Raise KeyError if there is none."""
        return self.encoding.encode_single_token(f"<|{name}|>")

    @functools.cached_property
    def special_tokens(self) -> dict[str, int]:
        """The ids of the special tokens by their texts, such as "<|en|>"."""
        return {text: self.encoding.encode_single_token(text) for text in self.encoding.special_tokens_set}

    def timestamp(self, seconds: float) -> int:
        """Return the timestamp token that is nearest to `seconds` after the start of the window."""
        return self.timestamp_begin + min(max(round(seconds / SECONDS_PER_TIMESTAMP), 0), N_TIMESTAMPS - 1)

    @functools.cached_property
    def eot(self) -> int:
        return self.encoding.eot_token

    @functools.cached_property
    def sot(self) -> int:
        return self.special("startoftranscript")

    @functools.cached_property
    def sot_lm(self) -> int:
        return self.special("startoflm")

    @functools.cached_property
    def sot_prev(self) -> int:
        return self.special("startofprev")

    @functools.cached_property
    def transcribe(self) -> int:
        return self.special("transcribe")

    @functools.cached_property
    def translate(self) -> int:
        return self.special("translate")

    @functools.cached_property
    def no_speech(self) -> int:
        return self.special("nospeech")

    @functools.cached_property
    def no_timestamps(self) -> int:
        return self.special("notimestamps")

    @functools.cached_property
    def timestamp_begin(self) -> int:
        return self.special("0.00")

    @property
    def timestamp_end(self) -> int:
        """The id after the last timestamp's."""
        return self.timestamp_begin + N_TIMESTAMPS

    @property
    def language_token(self) -> int:
        """The token of this tokenizer's language. Raises ValueError for an English-only model."""
        if self.language is None:
            raise ValueError("this tokenizer is English-only and has no language token")
        return self.to_language_token(self.language)

    def to_language_token(self, code: str) -> int:
        """Return the token of a language code. Raise KeyError if this vocabulary lacks it."""
        if code not in self.all_language_codes:
            raise KeyError(f"language {code!r} is not in this model's vocabulary")
        return self.all_language_tokens[self.all_language_codes.index(code)]

    @functools.cached_property
    def all_language_codes(self) -> tuple[str, ...]:
        return _language_codes(self.num_languages, self.new_language)

    @functools.cached_property
    def all_language_tokens(self) -> tuple[int, ...]:
        return (*range(self.sot + 1, self.sot + 1 + self.num_languages), *self.added_tokens)

    @property
    def added_tokens(self) -> tuple[int, ...]:
        """The token of the language that was added. It comes after the timestamps, and is never in a transcript."""
        return (self.special(self.new_language),) if self.new_language else ()

    @functools.cached_property
    def sot_sequence(self) -> tuple[int, ...]:
        """The tokens that every transcript starts with: start of transcript, language, task."""
        if self.language is None:
            return (self.sot,)
        return (self.sot, self.language_token, self.transcribe if self.task == "transcribe" else self.translate)

    @functools.cached_property
    def sot_sequence_including_notimestamps(self) -> tuple[int, ...]:
        return (*self.sot_sequence, self.no_timestamps)

    @functools.cached_property
    def non_speech_tokens(self) -> tuple[int, ...]:
        """Tokens that start annotations, such as brackets, speaker tags and notes, and not speech.

        Hyphens and apostrophes are among them only at the start of a word. The set is openai-whisper's.
        """
        if self.suppressed is not None:
            return self.suppressed
        tokens = {self.encode(" -")[0], self.encode(" '")[0]}
        for symbol in (*_SYMBOLS, *_MUSIC):
            for pieces in (self.encode(symbol), self.encode(" " + symbol)):
                if len(pieces) == 1 or symbol in _MUSIC:
                    tokens.add(pieces[0])
        return tuple(sorted(tokens))

    @functools.cached_property
    def blank_tokens(self) -> tuple[int, ...]:
        """Tokens that make an empty transcript, or one that starts with a space, if they come first."""
        return (*self.encode(" "), self.eot) if self.suppressed_first is None else self.suppressed_first

    def suppressed_tokens(self, given: str | Sequence[int], n_vocab: int) -> set[int]:
        """Return the ids that the option `suppress_tokens` stands for.

        Args:
            given: token ids, or a string such as "-1" or "50,51"; -1 stands for `non_speech_tokens`.
            n_vocab: the size of the model's vocabulary.

        Returns:
            The ids, and the special tokens that are never part of a transcript.

        Raises:
            OptionError: `given` is not a list of token ids of this vocabulary.
        """
        try:
            tokens = {int(token) for token in (given.split(",") if isinstance(given, str) else given)}
        except ValueError:
            raise OptionError(f"`suppress_tokens` takes token numbers such as '-1' or '50,51', got {given!r}") from None
        if NON_SPEECH in tokens:
            tokens.remove(NON_SPEECH)
            tokens.update(self.non_speech_tokens)
        if unknown := [token for token in tokens if not 0 <= token < n_vocab]:
            raise OptionError(f"`suppress_tokens` names tokens that this model lacks: {sorted(unknown)}")
        tasks = {self.transcribe, self.translate, *self.added_tokens}
        return tokens | tasks | {self.sot, self.sot_prev, self.sot_lm, self.no_speech}

    def split_to_word_tokens(self, tokens: Sequence[int]) -> Words:
        """Split `tokens` into words.

        In languages that are written without spaces, a word is the shortest run of tokens that are complete characters.
        """
        if self.language in _UNSPACED_LANGUAGES:
            return self.split_tokens_on_unicode(tokens)
        return self.split_tokens_on_spaces(tokens)

    def split_tokens_on_unicode(self, tokens: Sequence[int]) -> Words:
        """Split `tokens` wherever the tokens before are complete characters; the bytes of one may span tokens."""
        full_text = self.decode_with_timestamps(tokens)
        words: list[str] = []
        word_tokens: list[list[int]] = []
        current: list[int] = []
        offset = 0  # of the current word in `full_text`
        for token in tokens:
            current.append(token)
            text = self.decode_with_timestamps(current)
            gap = offset + text.find(_REPLACEMENT)
            # Bytes that are not a character in the full text either will not become one.
            if _REPLACEMENT not in text or full_text[gap : gap + 1] == _REPLACEMENT:
                words.append(text)
                word_tokens.append(current)
                offset += len(text)
                current = []
        return Words(words, word_tokens)

    def split_tokens_on_spaces(self, tokens: Sequence[int]) -> Words:
        """Split `tokens` before spaces and special tokens. A punctuation mark is a word of its own."""
        words: list[str] = []
        word_tokens: list[list[int]] = []
        for piece, piece_tokens in zip(*self.split_tokens_on_unicode(tokens), strict=True):
            special = piece_tokens[0] >= self.eot
            if special or piece.startswith(" ") or piece.strip() in string.punctuation or not words:
                words.append(piece)
                word_tokens.append(piece_tokens)
            else:
                words[-1] += piece
                word_tokens[-1] = word_tokens[-1] + piece_tokens
        return Words(words, word_tokens)


@functools.cache
def get_encoding(name: str = "gpt2", num_languages: int = 99, new_language: str | None = None) -> tiktoken.Encoding:
    """Return the byte-pair encoding called `name` ("gpt2" or "multilingual") with Whisper's special tokens."""
    ranks = {}
    for line in (ASSETS / f"{name}.tiktoken").read_bytes().splitlines():
        token, rank = line.split()
        ranks[base64.b64decode(token)] = int(rank)
    return tiktoken.Encoding(
        name=name,
        pat_str=_PAT_STR,
        mergeable_ranks=ranks,
        special_tokens={name: len(ranks) + i for i, name in enumerate(_special_names(num_languages, new_language))},
    )


@functools.cache
def get_tokenizer(
    multilingual: bool,
    *,
    num_languages: int = 99,
    language: str | None = None,
    task: str | None = None,
    new_language: str | None = None,
) -> Tokenizer:
    """Return the tokenizer of a vocabulary.

    Args:
        multilingual: whether the model is multilingual, and not English-only.
        num_languages: Whisper's languages in the vocabulary: 99, or 100 since large-v3.
        language: a code or an English name. By default English.
        task: "transcribe", which is the default, or "translate".
        new_language: the code of a language that was added to the vocabulary.

    Raises:
        ValueError: neither Whisper nor the vocabulary knows the language, or the task is unknown.
    """
    if task is not None and task not in TASKS:
        raise ValueError(f"unknown task {task!r}: give 'transcribe' or 'translate'")
    code = language_code(language) if language is not None else "en"
    if code != new_language and code not in LANGUAGES:
        raise ValueError(lacking_language(code))
    if not multilingual:
        return Tokenizer(get_encoding("gpt2", num_languages), num_languages)
    encoding = get_encoding("multilingual", num_languages, new_language)
    return Tokenizer(encoding, num_languages, code, task or "transcribe", new_language=new_language)
