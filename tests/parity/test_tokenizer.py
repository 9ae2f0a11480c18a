"""A thousand lines of thirty scripts have the same tokens and words as in openai-whisper."""

import numpy as np
import pytest
from whisper import tokenizer as theirs

from mlx_whisper_lora.whisper.text.languages import ALIASES, LANGUAGES
from mlx_whisper_lora.whisper.text.tokenizer import N_TIMESTAMPS, get_tokenizer
from tests.parity.scripts import SCRIPTS, thousand_lines

LINES = thousand_lines()
# English-only, multilingual, and large-v3's with its hundredth language.
VOCABULARIES = ((False, 99), (True, 99), (True, 100))
vocabularies = pytest.mark.parametrize(("multilingual", "num_languages"), VOCABULARIES)


def both(multilingual: bool, num_languages: int, language: str | None = None, task: str | None = None) -> tuple:
    make_both = (get_tokenizer, theirs.get_tokenizer)
    return tuple(make(multilingual, num_languages=num_languages, language=language, task=task) for make in make_both)


def test_a_thousand_lines_in_thirty_scripts():
    assert (len(LINES), len(SCRIPTS)) == (1000, 30) and len(set(LINES)) > 990


@vocabularies
def test_lines_become_the_same_tokens_and_come_back(multilingual, num_languages):
    ours, other = both(multilingual, num_languages)
    for line in LINES:
        tokens = ours.encode(line)
        assert tokens == other.encode(line, disallowed_special=())
        assert ours.decode(tokens) == other.decode(tokens) == line


@vocabularies
@pytest.mark.parametrize("language", ["en", "ja"])
def test_lines_are_split_into_the_same_words(multilingual, num_languages, language):
    ours, other = both(multilingual, num_languages, language)
    for line in LINES:
        tokens = [*ours.encode(line), ours.eot]
        assert ours.split_to_word_tokens(tokens) == other.split_to_word_tokens(tokens)


@vocabularies
def test_random_tokens_are_decoded_to_the_same_text(multilingual, num_languages):
    """Among them are special tokens, timestamps and bytes that are not a character."""
    ours, other = both(multilingual, num_languages)
    random = np.random.default_rng(0)
    for _ in range(300):
        tokens = random.integers(0, ours.encoding.n_vocab, 12)
        tokens[random.random(12) < 0.3] = random.integers(0, 256)  # single bytes
        tokens = tokens.tolist()
        assert ours.decode(tokens) == other.decode(tokens)
        assert ours.decode_with_timestamps(tokens) == other.decode_with_timestamps(tokens)


def test_bytes_that_are_not_a_character_are_separate_words():
    ours, other = both(True, 99)
    half = ours.encoding.encode_single_token(b"\xe4")  # the first of a Chinese letter's three bytes
    tokens = [half, *ours.encode(" on"), half, *ours.encode(" écrit l'été"), half, half, *ours.encode("é"), half]
    words, word_tokens = ours.split_tokens_on_unicode(tokens)
    assert (words, word_tokens) == other.split_tokens_on_unicode(tokens)
    assert "\ufffd" in words and [token for word in word_tokens for token in word] == tokens


@vocabularies
@pytest.mark.parametrize("task", ["transcribe", "translate"])
def test_special_tokens_are_the_same(multilingual, num_languages, task):
    ours, other = both(multilingual, num_languages, "te", task)
    for name in (
        "eot",
        "sot",
        "sot_lm",
        "sot_prev",
        "transcribe",
        "translate",
        "no_speech",
        "no_timestamps",
        "timestamp_begin",
        "sot_sequence",
        "sot_sequence_including_notimestamps",
        "non_speech_tokens",
        "language",
    ):
        assert getattr(ours, name) == getattr(other, name)
    languages, expected = (
        dict(zip(each.all_language_codes, each.all_language_tokens, strict=True)) for each in (ours, other)
    )
    assert languages == expected and len(languages) == num_languages
    assert ours.sot in ours.sot_sequence
    assert all(ours.eot < token < ours.timestamp_begin for token in ours.all_language_tokens)
    assert ours.encoding.n_vocab == other.encoding.n_vocab == ours.timestamp_begin + N_TIMESTAMPS


def test_languages_and_their_names_are_the_same():
    assert LANGUAGES == theirs.LANGUAGES
    assert {name: code for code, name in LANGUAGES.items()} | ALIASES == theirs.TO_LANGUAGE_CODE


def test_the_multilingual_vocabulary_needs_fewer_tokens_for_other_scripts():
    line = " 강가의 다람쥐가 도토리를 모은다"
    assert len(get_tokenizer(True).encode(line)) < len(get_tokenizer(False).encode(line))
