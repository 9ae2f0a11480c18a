"""Scripts and hidden characters of texts."""

import pytest

from mlx_whisper_lora.data.texts import clean_text, describe_hidden, is_plain, language_scripts, main_script
from mlx_whisper_lora.whisper.text.languages import LANGUAGES

# The greeting of each language, in its own script.
GREETINGS = {
    "am": "ሰላም", "ar": "مرحبا", "bn": "নমস্কার", "bo": "བཀྲ་ཤིས", "de": "Grüß Gott", "el": "γειά", "fa": "سلام",
    "gu": "નમસ્તે", "he": "שלום", "hi": "नमस्ते", "hy": "բարեւ", "ja": "こんにちは", "ka": "გამარჯობა", "km": "សួស្តី",
    "kn": "ನಮಸ್ಕಾರ", "ko": "안녕", "lo": "ສະບາຍດີ", "ml": "നമസ്കാരം", "my": "မင်္ဂလာပါ", "pa": "ਸਤਿ", "ru": "привет",
    "si": "ආයුබෝවන්", "ta": "வணக்கம்", "te": "నమస్తే", "th": "สวัสดี", "vi": "xin chào", "yo": "ẹ káàrọ̀", "zh": "你好",
}  # fmt: skip


@pytest.mark.parametrize("language", GREETINGS)
def test_a_language_has_its_script(language):
    assert main_script(GREETINGS[language]) in language_scripts(language)


def test_every_language_has_a_script():
    assert all(language_scripts(language) for language in LANGUAGES)
    assert language_scripts("sr") == ("CYRILLIC", "LATIN")
    assert language_scripts("dv") == ()  # Whisper does not know Divehi


@pytest.mark.parametrize(
    ("text", "script"),
    [("123 ...", None), ("", None), ("ａｂｃ", "LATIN"), ("ｶﾀｶﾅ", "KATAKANA"), ("привет ok", "CYRILLIC")],
)
def test_the_script_is_that_of_most_letters(text, script):
    assert main_script(text) == script


@pytest.mark.parametrize(
    ("text", "found", "clean"),
    [
        ("\ufeffone", ["1 x ZERO WIDTH NO-BREAK SPACE"], "one"),
        ("o\u200bn\u200be", ["2 x ZERO WIDTH SPACE"], "one"),
        ("one\u200e two\u202b", ["1 x LEFT-TO-RIGHT MARK", "1 x RIGHT-TO-LEFT EMBEDDING"], "one two"),
        ("one\x07", ["1 x U+0007"], "one"),
        ("one\ntwo", ["1 x U+000A"], "one two"),
        ("co\xadop", ["1 x SOFT HYPHEN"], "coop"),
        ("de\u0301ja", ["not in Unicode's form NFC"], "déja"),
        ("ന\u0d46\u0d3e", ["not in Unicode's form NFC"], "ന\u0d4a"),
        ("one\u200ctwo", ["1 x ZERO WIDTH NON-JOINER"], "onetwo"),
        ("e\u0301\u200d", ["1 x ZERO WIDTH JOINER", "not in Unicode's form NFC"], "é"),
        ("the word അവന്\u200d\u200d", ["1 x ZERO WIDTH JOINER"], "the word അവന്\u200d"),
        ("one  two\u00a0 three ", [], "one two three"),
    ],
)
def test_characters_that_cannot_be_seen_are_named_and_removed(text, found, clean):
    assert describe_hidden(text) == found
    assert is_plain(text) == (not found)
    assert clean_text(text) == clean and is_plain(clean)


@pytest.mark.parametrize(
    "text",
    [
        "plain text, déjà vu",
        "അവന്\u200d പറഞ്ഞു",  # a joiner is part of the spelling of Malayalam
        "می\u200cخواهم",  # and of Persian
        "ক্\u200cষ and শ্রী\u200d",  # and of Bengali
        "one 👩\u200d👧 two",  # and of a family
        "ᠠ\u180eᠠ",  # a vowel separator of Mongolian
    ],
)
def test_what_a_text_needs_is_left_in_it(text):
    assert describe_hidden(text) == []
    assert clean_text(text) == text
