"""Languages by code and by name, and those that Whisper lacks."""

import pytest

from mlx_whisper_lora.whisper.text.languages import (
    ALIASES,
    LANGUAGES,
    OTHER_CODES,
    OTHER_NAMES,
    RELATIVES,
    lacking_language,
    language_code,
    language_list,
    language_name,
    nearest_language,
)


def test_every_language_is_found_by_code_and_by_name():
    for code, name in LANGUAGES.items():
        assert language_code(code) == language_code(name) == language_code(name.title()) == code
    assert language_code("Castilian") == "es"


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ("TELUGU", "te"), ("te-IN", "te"), ("te_IN", "te"), ("tel", "te"), ("తెలుగు", "te"), ("zh-Hant-TW", "zh"),
        ("pt_BR", "pt"), ("nb", "no"), ("nob-NO", "no"), ("fil", "tl"), ("iw", "he"), ("jv", "jw"), ("prs", "fa"),
        ("Français", "fr"), ("Franc\u0327ais", "fr"), ("Haitian  creole", "ht"),
    ],
)  # fmt: skip
def test_a_language_is_found_by_other_codes_and_names(given, code):
    assert language_code(given) == code


@pytest.mark.parametrize("given", ["dv", "div", "dv-MV", "Divehi", "Maldivian"])
def test_a_language_that_whisper_lacks_has_a_code_and_a_relative(given):
    assert (language_code(given), language_name("dv"), nearest_language("dv")) == ("dv", "Divehi", "si")
    assert lacking_language("dv") == (
        "Whisper does not know Divehi ('dv'); its nearest relative that Whisper knows is Sinhala, 'si'"
    )


def test_a_code_that_nothing_is_known_of_is_left_to_the_model():
    assert (language_code("XYZ"), language_name("xyz"), nearest_language("xyz")) == ("xyz", "xyz", None)
    assert lacking_language("xyz") == (
        "unknown language 'xyz': give a near one that Whisper knows, such as 'hi', or train a token for it with lora "
        "--new-language xyz --language hi"
    )


def test_the_nearest_name_of_a_misspelt_language_is_named():
    with pytest.raises(ValueError, match=r"unknown language 'telegu': did you mean 'telugu'\?"):
        language_code("telegu")


def test_relatives_are_languages_that_whisper_knows_and_no_code_is_listed_twice():
    given = [{*names.split(", "), *codes.split()} for names, codes, _ in RELATIVES]
    tables = [LANGUAGES, LANGUAGES.values(), ALIASES, OTHER_NAMES, OTHER_CODES, *given]
    assert len(set().union(*tables)) == sum(len(set(table)) for table in tables)
    relatives = {relative for _, _, relative in RELATIVES}
    assert relatives.union(ALIASES.values(), OTHER_NAMES.values(), OTHER_CODES.values()) <= set(LANGUAGES)


def test_the_list_of_languages_for_help_texts_has_them_all():
    lines = language_list().splitlines()
    assert " ".join(map(str.strip, lines)) == ", ".join(f"{code} {LANGUAGES[code]}" for code in sorted(LANGUAGES))
    assert max(map(len, lines)) <= 100
