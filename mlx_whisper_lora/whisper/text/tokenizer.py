"""Whisper's tokenizer: byte-pair encoding by tiktoken, plus Whisper's special tokens.

Vocabularies are openai-whisper's `gpt2.tiktoken` (English-only models) and `multilingual.tiktoken`. Special tokens
follow the text tokens in a fixed order: end of text, start of transcript, languages, tasks, context markers, and the
1,501 timestamps from <|0.00|> to <|30.00|> in steps of 20 ms.
"""

import base64
import functools
import string
from collections.abc import Sequence
from dataclasses import dataclass

import tiktoken

from mlx_whisper_lora.whisper.assets import ASSETS
from mlx_whisper_lora.whisper.text.languages import ALIASES, LANGUAGES

SECONDS_PER_TIMESTAMP = 0.02
NON_SPEECH = -1  # in `suppress_tokens`: the tokenizer's non-speech tokens
N_TIMESTAMPS = 1501
TASKS = ("transcribe", "translate")

# How GPT-2 cuts text into pieces before merging bytes: contractions, letters, digits, other signs, spaces.
PAT_STR = r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""

UNSPACED_LANGUAGES = ("zh", "ja", "th", "lo", "my", "yue")  # written without spaces between words
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"  # what bytes that are no whole character decode to

BRACKETS_AND_MARKS = list('"#()*+/:;<=>@[\\]^_`{|}~「」『』')
DOUBLED_MARKS = ["<<", ">>", "<<<", ">>>", "--", "---", "-(", "-[", "('", '("', "((", "))", "(((", ")))",
                 "[[", "]]", "{{", "}}", "♪♪", "♪♪♪"]  # fmt: skip
MUSIC = list("♩♪♫♬♭♮♯")  # three bytes each, the first two shared: suppressing the first token suppresses them all


@dataclass(frozen=True)
class Tokenizer:
    """Text to tokens and back for one language and task (both None for an English-only model)."""

    encoding: tiktoken.Encoding
    num_languages: int
    language: str | None = None
    task: str | None = None

    def encode(self, text: str) -> list[int]:
        """Tokens of plain text; what looks like a special token in it stays text."""
        return self.encoding.encode(text, disallowed_special=())

    def decode(self, tokens: Sequence[int]) -> str:
        """Text of `tokens`, timestamps left out."""
        return self.encoding.decode([token for token in tokens if token < self.timestamp_begin])

    def decode_with_timestamps(self, tokens: Sequence[int]) -> str:
        """Text of `tokens` with timestamps written out as <|1.08|>."""
        return self.encoding.decode(list(tokens))

    def special(self, name: str) -> int:
        """The id of a special token, given without its <| and |>; KeyError if there is none."""
        return self.encoding.encode_single_token(f"<|{name}|>")

    def timestamp(self, seconds: float) -> int:
        """The timestamp token nearest to `seconds` after the window's start."""
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
    def language_token(self) -> int:
        """The token of this tokenizer's language; ValueError for an English-only model, which has none."""
        if self.language is None:
            raise ValueError("this tokenizer is English-only and has no language token")
        return self.to_language_token(self.language)

    def to_language_token(self, code: str) -> int:
        """The token of a language code; KeyError when this vocabulary lacks it."""
        if code not in self.all_language_codes:
            raise KeyError(f"language {code!r} is not in this model's vocabulary")
        return self.sot + 1 + self.all_language_codes.index(code)

    @functools.cached_property
    def all_language_codes(self) -> tuple[str, ...]:
        return tuple(LANGUAGES)[: self.num_languages]

    @functools.cached_property
    def all_language_tokens(self) -> tuple[int, ...]:
        return tuple(range(self.sot + 1, self.sot + 1 + self.num_languages))

    @functools.cached_property
    def sot_sequence(self) -> tuple[int, ...]:
        """What every transcript starts with: start of transcript, language, task."""
        if self.language is None:
            return (self.sot,)
        return (self.sot, self.language_token, self.transcribe if self.task == "transcribe" else self.translate)

    @functools.cached_property
    def sot_sequence_including_notimestamps(self) -> tuple[int, ...]:
        return (*self.sot_sequence, self.no_timestamps)

    @functools.cached_property
    def non_speech_tokens(self) -> tuple[int, ...]:
        """Tokens that start annotations rather than speech, such as brackets, speaker tags and notes.

        Hyphen and apostrophe are kept inside words but not at their start. The same set as openai-whisper's.
        """
        tokens = {self.encode(" -")[0], self.encode(" '")[0]}
        for symbol in BRACKETS_AND_MARKS + DOUBLED_MARKS + MUSIC:
            for pieces in (self.encode(symbol), self.encode(" " + symbol)):
                if len(pieces) == 1 or symbol in MUSIC:
                    tokens.add(pieces[0])
        return tuple(sorted(tokens))

    def suppressed_tokens(self, given: str | Sequence[int], n_vocab: int) -> set[int]:
        """Return the ids that the option `suppress_tokens` stands for.

        Args:
            given: token ids, or a string such as "-1" or "50,51"; -1 stands for `non_speech_tokens`.
            n_vocab: the size of the model's vocabulary.

        Returns:
            The ids, and the special tokens that are never part of a transcript.

        Raises:
            ValueError: `given` is not a list of token ids of this vocabulary.
        """
        try:
            tokens = {int(token) for token in (given.split(",") if isinstance(given, str) else given)}
        except ValueError:
            raise ValueError(f"suppress_tokens takes token numbers such as '-1' or '50,51', got {given!r}") from None
        if NON_SPEECH in tokens:
            tokens.remove(NON_SPEECH)
            tokens.update(self.non_speech_tokens)
        if unknown := [token for token in tokens if not 0 <= token < n_vocab]:
            raise ValueError(f"suppress_tokens names tokens that this model lacks: {sorted(unknown)}")
        tasks = {self.transcribe, self.translate}
        return tokens | tasks | {self.sot, self.sot_prev, self.sot_lm, self.no_speech}

    def split_to_word_tokens(self, tokens: Sequence[int]) -> tuple[list[str], list[list[int]]]:
        """Cut `tokens` into words: the text and the tokens of each.

        In languages written without spaces a "word" is the least stretch of tokens that is whole characters.
        """
        if self.language in UNSPACED_LANGUAGES:
            return self.split_tokens_on_unicode(tokens)
        return self.split_tokens_on_spaces(tokens)

    def split_tokens_on_unicode(self, tokens: Sequence[int]) -> tuple[list[str], list[list[int]]]:
        """Cut `tokens` wherever what came before is whole characters; a character's bytes may span tokens."""
        whole = self.decode_with_timestamps(tokens)
        words: list[str] = []
        word_tokens: list[list[int]] = []
        current: list[int] = []
        offset = 0  # where in `whole` the current word starts
        for token in tokens:
            current.append(token)
            text = self.decode_with_timestamps(current)
            gap = offset + text.find(REPLACEMENT)
            # Bytes that are no character in the whole text either will not become one.
            if REPLACEMENT not in text or whole[gap : gap + 1] == REPLACEMENT:
                words.append(text)
                word_tokens.append(current)
                offset += len(text)
                current = []
        return words, word_tokens

    def split_tokens_on_spaces(self, tokens: Sequence[int]) -> tuple[list[str], list[list[int]]]:
        """Cut `tokens` before spaces and special tokens; a mark is a word of its own."""
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
        return words, word_tokens


@functools.cache
def get_encoding(name: str = "multilingual", num_languages: int = 99) -> tiktoken.Encoding:
    """The byte-pair encoding called `name` ("gpt2" or "multilingual") with Whisper's special tokens."""
    ranks = {}
    for line in (ASSETS / f"{name}.tiktoken").read_bytes().splitlines():
        token, rank = line.split()
        ranks[base64.b64decode(token)] = int(rank)
    special = ["endoftext", "startoftranscript", *tuple(LANGUAGES)[:num_languages], "translate", "transcribe"]
    special += ["startoflm", "startofprev", "nospeech", "notimestamps"]
    special += [f"{i * SECONDS_PER_TIMESTAMP:.2f}" for i in range(N_TIMESTAMPS)]
    return tiktoken.Encoding(
        name=name,
        pat_str=PAT_STR,
        mergeable_ranks=ranks,
        special_tokens={f"<|{text}|>": len(ranks) + i for i, text in enumerate(special)},
    )


def language_code(language: str) -> str:
    """The code of a language given by code or English name; ValueError when Whisper does not know it."""
    language = language.lower().strip()
    if language in LANGUAGES:
        return language
    names = {name: code for code, name in LANGUAGES.items()} | ALIASES
    if language not in names:
        raise ValueError(f"unknown language {language!r}: give a code such as 'te' or a name such as 'telugu'")
    return names[language]


@functools.cache
def get_tokenizer(
    multilingual: bool, *, num_languages: int = 99, language: str | None = None, task: str | None = None
) -> Tokenizer:
    """The tokenizer for a model; a multilingual one defaults to English and to transcribing.

    Raises ValueError for a language or a task that Whisper does not have.
    """
    if task is not None and task not in TASKS:
        raise ValueError(f"unknown task {task!r}: 'transcribe' or 'translate'")
    code = language_code(language) if language is not None else "en"
    if not multilingual:
        return Tokenizer(get_encoding("gpt2", num_languages), num_languages)
    return Tokenizer(get_encoding("multilingual", num_languages), num_languages, code, task or "transcribe")
