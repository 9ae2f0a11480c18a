"""Normalizing texts before they are compared."""

import pytest

from mlx_whisper_lora.whisper.text.normalizers import (
    BasicTextNormalizer,
    EnglishNumberNormalizer,
    EnglishSpellingNormalizer,
    EnglishTextNormalizer,
    normalize_unicode,
)
from tests.support.references import reference

CASES = reference("normalizers")


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
def test_unicode_normalization_keeps_letters_and_marks(text, normal):
    assert normalize_unicode(text) == normal


@pytest.mark.parametrize(
    ("name", "normalizer"),
    [
        ("english", EnglishTextNormalizer()),
        ("basic", BasicTextNormalizer()),
        ("plain", BasicTextNormalizer(remove_diacritics=True)),
        ("split", BasicTextNormalizer(split_letters=True)),
    ],
)
def test_normalized_texts_are_openai_whispers(name, normalizer):
    assert {case["text"]: normalizer(case["text"]) for case in CASES} == {case["text"]: case[name] for case in CASES}


@pytest.mark.parametrize("normalizer", [EnglishNumberNormalizer(), EnglishTextNormalizer()])
@pytest.mark.parametrize(
    ("words", "digits"),
    [
        ("seven", "7"),
        ("sixty four", "64"),
        ("six twenty five", "625"),
        ("eighteen ninety nine", "1899"),
        ("two thousand and nine", "2009"),
        ("four hundred and seventeen thousand", "417000"),
        ("three million and five", "3000005"),
        ("two point five million", "2500000"),
        ("two and a half million", "2500000"),
        ("six and a half hours", "6.5 hours"),
        ("four point one four two", "4.142"),
        ("zero point zero three", "0.03"),
        ("oh nine", "09"),
        ("five oh two", "502"),
        ("double oh seven", "007"),
        ("triple two nine", "2229"),
        ("one ninety two point one six eight", "192.168"),
        ("twenty third", "23rd"),
        ("one hundred and twelfth", "112th"),
        ("nineteen sixties", "1960s"),
        ("the 1960 s and the 3 rd", "the 1960s and the 3rd"),
        ("three billions", "3000000000s"),
        ("minus four", "-4"),
        ("plus twenty", "+20"),
        ("forty percent", "40%"),
        ("nine per cent", "9%"),
        ("per person", "per person"),
        ("five dollars", "$5"),
        ("twenty million pounds", "£20000000"),
        ("three dollars and seven cents", "$3.07"),
        ("three euros seven cents", "€3.07"),
        ("zero point seven five dollars", "¢75"),
        ("eighty cents", "¢80"),
        ("€20 million", "€20000000"),
        ("one and ones", "one and ones"),
        ("rock and roll", "rock and roll"),
        ("double trouble is the point", "double trouble is the point"),
        ("2 and a half", "2 and a half"),
    ],
)
def test_numbers_in_words_become_digits(words, digits, normalizer):
    assert normalizer(words) == digits


def test_british_spellings_become_american_ones():
    spellings = EnglishSpellingNormalizer()
    assert spellings("a grey  theatre, a colourful programme") == "a gray theatre, a colorful program"
    assert spellings("mobilisation cancelation") == "mobilization cancellation"


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("Let's go!", "let us go"),
        ("She's got it, he's been there; they'd gone.", "she has got it he has been there they had gone"),
        ("We're sure you'll say it isn't, won't you?", "we are sure you will say it is not will not you"),
        ("I'ma tell y'all we gotta go, ma'am", "i am going to tell you all we got to go madam"),
        ("Dr. Grey met Sen. Hall, Jr. on St. Ann's", "doctor gray met senator hall junior on saint ann is"),
        ("5km, 30mm and AB12", "5 km 30 mm and ab 12"),
        ("um, well, hmm", "well"),
        ("yes (laughs) and [noise] no <unk>", "yes and no"),
        ("1,250,000 of them", "1250000 of them"),
        ("Café Ærø, naïve straße", "cafe aero naive strasse"),
        ("100% of $5.50, not % or $", "100% of $5.50 not or $"),
    ],
)
def test_english_texts_are_normalized(text, normal):
    assert EnglishTextNormalizer()(text) == normal


def test_texts_of_any_language_are_normalized():
    assert BasicTextNormalizer()("L'Été [musique] à (la) mer…") == "l été à mer "
    assert BasicTextNormalizer(remove_diacritics=True)("L'Été à Łódź") == "l ete a lodz"
    assert BasicTextNormalizer(split_letters=True)("今日 は") == "今 日 は"


def test_a_number_with_too_many_digits_for_python_is_one_word():
    """openai-whisper raises AssertionError here."""
    digits = "9" * 5000
    assert EnglishTextNormalizer()(f"no {digits} dollars") == f"no ${digits}"
