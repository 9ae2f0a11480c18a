"""The characters of a text: its script, and those that cannot be seen, which `clean_text` removes."""

import functools
import re
import unicodedata
from collections import Counter

from mlx_whisper_lora.whisper.text.languages import LANGUAGES

# fmt: off
# The scripts of languages, by the first words of Unicode's names of their letters. All others are written in Latin.
_SCRIPTS = {
    "am": "ETHIOPIC", "ar": "ARABIC", "as": "BENGALI", "az": "LATIN CYRILLIC ARABIC", "ba": "CYRILLIC",
    "be": "CYRILLIC", "bg": "CYRILLIC", "bn": "BENGALI", "bo": "TIBETAN", "bs": "LATIN CYRILLIC", "el": "GREEK",
    "fa": "ARABIC", "gu": "GUJARATI", "ha": "LATIN ARABIC", "he": "HEBREW", "hi": "DEVANAGARI", "hy": "ARMENIAN",
    "ja": "CJK HIRAGANA KATAKANA", "jw": "LATIN JAVANESE", "ka": "GEORGIAN", "kk": "CYRILLIC LATIN ARABIC",
    "km": "KHMER", "kn": "KANNADA", "ko": "HANGUL CJK", "lo": "LAO", "mk": "CYRILLIC", "ml": "MALAYALAM",
    "mn": "CYRILLIC MONGOLIAN", "mr": "DEVANAGARI", "ms": "LATIN ARABIC", "my": "MYANMAR", "ne": "DEVANAGARI",
    "pa": "GURMUKHI ARABIC", "ps": "ARABIC", "ru": "CYRILLIC", "sa": "DEVANAGARI", "sd": "ARABIC DEVANAGARI",
    "si": "SINHALA", "sr": "CYRILLIC LATIN", "su": "LATIN SUNDANESE", "ta": "TAMIL", "te": "TELUGU",
    "tg": "CYRILLIC ARABIC", "th": "THAI", "tk": "LATIN CYRILLIC", "tt": "CYRILLIC LATIN", "uk": "CYRILLIC",
    "ur": "ARABIC", "uz": "LATIN CYRILLIC", "yi": "HEBREW", "yue": "CJK", "zh": "CJK",
}
# fmt: on
NOT_NFC = "not in Unicode's form NFC"
_WIDTHS = ("FULLWIDTH", "HALFWIDTH")  # before the script in the names of letters
_JOINERS = "\u200c\u200d"  # zero-width, but part of the spelling in Arabic and Indic scripts
_WITHOUT_JOINERS = (
    "LATIN",
    "GREEK",
    "CYRILLIC",
    "HEBREW",
    "ARMENIAN",
    "GEORGIAN",
    "CJK",
    "HIRAGANA",
    "KATAKANA",
    "HANGUL",
)
_LETTERS = ("Lu", "Ll", "Lt", "Lo")  # not the marks and signs that several scripts share
# Control characters, soft hyphens, marks of the direction of writing, zero-width characters, separators of lines, and
# byte order marks. Other format characters are seen, or change how letters are seen, such as those of Mongolian.
_HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb]"
)


def language_scripts(language: str) -> tuple[str, ...]:
    """Return the scripts that a language is written in, such as ("CYRILLIC", "LATIN"), or none if it is not known.

    Args:
        language: Its code.
    """
    return tuple(_SCRIPTS.get(language, "LATIN").split()) if language in LANGUAGES else ()


def main_script(text: str) -> str | None:
    """Return the script of most letters of a text, such as "MALAYALAM". None if it has no letters."""
    scripts: Counter[str] = Counter()
    for character, count in Counter(text).items():
        if script := _script(character):
            scripts[script] += count
    return scripts.most_common(1)[0][0] if scripts else None


@functools.cache
def _script(character: str) -> str | None:
    """Return the script of a letter, or None for another character."""
    if unicodedata.category(character) not in _LETTERS:
        return None
    words = unicodedata.name(character, "").split()
    return next((word for word in words if word not in _WIDTHS), None)


def clean_text(text: str) -> str:
    """Return a text with composed letters (Unicode's NFC), single spaces, and no characters that cannot be seen."""
    shown = _HIDDEN.sub(lambda found: found[0] if found[0].isspace() or _belongs(found) else "", text)
    return unicodedata.normalize("NFC", " ".join(shown.split()))


def is_plain(text: str) -> bool:
    """Return whether a text is in Unicode's NFC and has no characters that cannot be seen."""
    return all(map(_belongs, _HIDDEN.finditer(text))) and unicodedata.is_normalized("NFC", text)


def hidden_characters(text: str) -> Counter[str]:
    """Count the characters of a text that cannot be seen, by their names, such as ZERO WIDTH SPACE."""
    hidden = (found[0] for found in _HIDDEN.finditer(text) if not _belongs(found))
    return Counter(unicodedata.name(character, f"U+{ord(character):04X}") for character in hidden)


def describe_hidden(text: str) -> list[str]:
    """Describe the hidden characters of a text, such as "2 x ZERO WIDTH SPACE", and whether it is not NFC."""
    found = [f"{count} x {name}" for name, count in hidden_characters(text).items()]
    return found if unicodedata.is_normalized("NFC", text) else [*found, NOT_NFC]


def _belongs(found: re.Match[str]) -> bool:
    """Return whether a character is a joiner after a letter of a script that is spelled with joiners, or after a sign.

    The letter may have marks. Signs are those of which emojis of several people are made.
    """
    if found[0] not in _JOINERS:
        return False
    letters = (each for each in reversed(found.string[: found.start()]) if unicodedata.category(each)[0] != "M")
    before = next(letters, " ")
    if script := _script(before):
        return script not in _WITHOUT_JOINERS
    return unicodedata.category(before) in ("So", "Sk")
