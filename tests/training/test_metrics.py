"""Word and character error rates, against jiwer."""

import jiwer
import pytest

from mlx_whisper_lora.training.metrics import character_error_rate, word_error_rate
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
