"""The normalizers give the same texts as openai-whisper's."""

import itertools

import pytest
from whisper import normalizers as theirs
from whisper.normalizers.english import EnglishNumberNormalizer, EnglishSpellingNormalizer

from mlx_whisper_lora.whisper.text import normalizers as ours
from tests.parity.scripts import thousand_lines
from tools.references.sentences import SENTENCES, made_up_sentences

TEXTS = [*SENTENCES, *thousand_lines(), *itertools.islice(made_up_sentences(1), 5000)]
BASICS = list(itertools.product((False, True), repeat=2))


def agree(normalizer, expected) -> None:
    assert {text: normalizer(text) for text in TEXTS} == {text: expected(text) for text in TEXTS}


def test_english_texts_agree():
    agree(ours.EnglishTextNormalizer(), theirs.EnglishTextNormalizer())


def test_numbers_agree_in_texts_that_are_not_normalized_otherwise():
    agree(ours.EnglishNumberNormalizer(), EnglishNumberNormalizer())


def test_spellings_agree():
    agree(ours.EnglishSpellingNormalizer(), EnglishSpellingNormalizer())
    assert ours.american_spellings() == EnglishSpellingNormalizer().mapping


@pytest.mark.parametrize(("remove_diacritics", "split_letters"), BASICS)
def test_basic_texts_agree(remove_diacritics, split_letters):
    arguments = {"remove_diacritics": remove_diacritics, "split_letters": split_letters}
    agree(ours.BasicTextNormalizer(**arguments), theirs.BasicTextNormalizer(**arguments))


def test_every_character_of_unicode_agrees():
    """Put each character between letters, because marks join the letter before them."""
    stretches = [
        " ".join(f"a{chr(code)}b{chr(code)}" for code in range(start, start + 256))
        for start in itertools.chain(range(0, 0x20000, 256), range(0xE0000, 0xE0200, 256))
    ]
    for text in stretches:
        assert ours.EnglishTextNormalizer()(text) == theirs.EnglishTextNormalizer()(text)
        for arguments in BASICS:
            assert ours.BasicTextNormalizer(*arguments)(text) == theirs.BasicTextNormalizer(*arguments)(text)


def test_every_three_words_of_numbers_agree():
    """Two words bring the reader of numbers into each of its states, and a third one follows."""
    # fmt: off
    kinds = ("zero", "one", "ten", "twelve", "sixes", "fifth", "twenty", "forties", "hundred", "thousand", "millions",
             "billionth", "minus", "dollars", "cents", "per", "cent", "percent", "and", "double", "point", "0", "7",
             "20", "2.5", "$3", "¢4", "cat")
    # fmt: on
    number, expected = ours.EnglishNumberNormalizer(), EnglishNumberNormalizer()
    for words in itertools.product(kinds, repeat=3):
        assert number(" ".join(words)) == expected(" ".join(words))
