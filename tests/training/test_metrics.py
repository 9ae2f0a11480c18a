"""Word and character error rates, against jiwer."""

import jiwer
import pytest

from mlx_whisper_lora.training.metrics import character_error_rate, normalize, word_error_rate


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("  Hello,\tWORLD! ", "hello world"),
        ("it's 3.14 — 100%", "it s 3 14 100"),
        ("ＡＢＣ ﬁne e\u0301", "abc fine é"),
        ("నమస్కారం, మీరు ఎలా ఉన్నారు?", "నమస్కారం మీరు ఎలా ఉన్నారు"),
        ("हिन्दी में।", "हिन्दी में"),
        ("العَرَبِيَّة؟", "العَرَبِيَّة"),
        ("你好，世界。", "你好 世界"),
        ("…", ""),
    ],
)
def test_normal_form_keeps_letters_and_marks(text, normal):
    assert normalize(text) == normal


def test_a_vowel_sign_makes_a_different_word():
    assert word_error_rate(["కి"], ["కు"]) == 100.0


REFERENCES = ["The quick brown fox.", "jumps over", "the lazy dog", "నమస్కారం అందరికీ"]
HYPOTHESES = ["the quick fox", "jumps over it all", "THE LAZY DOG!", "నమస్కారం అందరికి"]


def test_rates_are_jiwers_of_normalised_text():
    references, hypotheses = [normalize(text) for text in REFERENCES], [normalize(text) for text in HYPOTHESES]
    assert word_error_rate(REFERENCES, HYPOTHESES) == pytest.approx(100 * jiwer.wer(references, hypotheses))
    assert character_error_rate(REFERENCES, HYPOTHESES) == pytest.approx(100 * jiwer.cer(references, hypotheses))


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
