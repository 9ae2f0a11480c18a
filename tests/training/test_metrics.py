"""Word and character error rates, against jiwer."""

import jiwer
import pytest

from mlx_whisper_lora.training.metrics import (
    character_error_interval,
    character_error_rate,
    ratio_interval,
    word_error_interval,
    word_error_rate,
)
from mlx_whisper_lora.whisper.text.normalizers import BasicTextNormalizer, EnglishTextNormalizer, normalize_unicode


def test_a_vowel_sign_makes_a_different_word():
    assert word_error_rate(["కి"], ["కు"]) == 100.0
    assert word_error_rate(["కి"], ["కు"], BasicTextNormalizer()) == 0.0


REFERENCES = ["The quick brown fox.", "jumps over", "the lazy dog", "నమస్కారం అందరికీ"]
HYPOTHESES = ["the quick fox", "jumps over it all", "THE LAZY DOG!", "నమస్కారం అందరికి"]


def test_rates_are_jiwers_of_normalised_text():
    references, hypotheses = (list(map(normalize_unicode, texts)) for texts in (REFERENCES, HYPOTHESES))
    assert word_error_rate(REFERENCES, HYPOTHESES) == pytest.approx(100 * jiwer.wer(references, hypotheses))
    assert character_error_rate(REFERENCES, HYPOTHESES) == pytest.approx(100 * jiwer.cer(references, hypotheses))


def test_rates_of_text_that_another_normalizer_made_alike():
    english = EnglishTextNormalizer()
    spoken = ["Mr. Hill won't pay $20 (laughs).", "The colour is grey, isn't it?", "twenty-one clips"]
    heard = ["mister hill will not pay twenty dollars", "the color is gray", "21 clip"]
    references, hypotheses = (list(map(english, texts)) for texts in (spoken, heard))
    assert word_error_rate(spoken, heard, english) == pytest.approx(100 * jiwer.wer(references, hypotheses))
    assert character_error_rate(spoken, heard, english) == pytest.approx(100 * jiwer.cer(references, hypotheses))
    assert 0 < word_error_rate(spoken, heard, english) < word_error_rate(spoken, heard)


def test_spaces_that_a_normalizer_leaves_do_not_count_as_characters():
    basic = BasicTextNormalizer()
    assert (basic("Yes."), basic("?")) == ("yes ", " ")
    assert character_error_rate(["Yes.", "?"], ["yes", "!"], basic) == 0.0
    assert word_error_rate(["?"], ["..."], basic) == 0.0


def test_rates_by_hand():
    # One word of four is missing, two of two are added, one of two is another: 4 errors in 8 words.
    assert word_error_rate(["a b c d", "e f", "g h"], ["a b c", "e f x y", "g i"]) == 50.0
    assert character_error_rate(["abcd"], ["abxd"]) == 25.0


def test_words_where_nothing_is_said_are_insertions():
    assert word_error_rate(["a b", ""], ["a b", "c"]) == 50.0
    assert character_error_rate(["ab", "..."], ["ab", "c"]) == 50.0


def test_references_that_are_all_empty():
    assert word_error_rate(["", "?"], ["", "!"]) == 0.0
    assert word_error_rate([""], ["thank you"]) == 100.0
    assert word_error_rate([], []) == 0.0


def test_an_empty_hypothesis_misses_everything():
    assert word_error_rate(["a b"], [""]) == character_error_rate(["a b"], [""]) == 100.0


def test_an_interval_is_as_wide_as_the_clips_differ():
    same, few, many = ["a b"] * 20, ["a b"] * 19 + ["a c"], ["a b"] * 10 + ["a c"] * 10
    assert word_error_interval(same, same) == (0, 0)
    for heard in (few, many):
        low, high = word_error_interval(same, heard)
        assert low < word_error_rate(same, heard) < high
    # Half of 20 clips have one of two words wrong: 25 %, and 25 / sqrt(20) points is the standard error.
    assert (low, high) == pytest.approx((25 - 1.96 * 25 / 20**0.5, 25 + 1.96 * 25 / 20**0.5), abs=1.5)
    assert word_error_interval([""], ["thank you"]) == (100, 100)
    assert character_error_interval(["ab", ""], ["ab", ""]) == (0, 0)


def test_the_interval_of_a_ratio_weighs_clips_by_their_size():
    low, high = ratio_interval([0, 100], [1, 100])
    assert 0 == low < 100 / 101 < high == 1
