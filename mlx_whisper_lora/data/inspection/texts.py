"""Describe the characters of a text: its script, and those that cannot be seen."""

import unicodedata
from collections import Counter

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
_INVISIBLE = ("Cc", "Cf", "Zl", "Zp")  # control and format characters, separators of lines and paragraphs


def language_scripts(language: str) -> tuple[str, ...]:
    """Return the scripts that a language is written in, such as ("CYRILLIC", "LATIN"), for its code."""
    return tuple(_SCRIPTS.get(language, "LATIN").split())


def main_script(text: str) -> str | None:
    """Return the script of most letters of a text, such as "MALAYALAM". None if it has no letters."""
    scripts = Counter(filter(None, map(_script, text)))
    return scripts.most_common(1)[0][0] if scripts else None


def _script(character: str) -> str | None:
    """Return the script of a letter, or None for another character."""
    if unicodedata.category(character) not in _LETTERS:
        return None
    words = unicodedata.name(character, "").split()
    return next((word for word in words if word not in _WIDTHS), None)


def hidden_characters(text: str) -> list[str]:
    """Describe the characters of a text that cannot be seen, such as "2 x ZERO WIDTH SPACE", and if it is not NFC."""
    counts = Counter(
        unicodedata.name(character, f"U+{ord(character):04X}")
        for i, character in enumerate(text)
        if unicodedata.category(character) in _INVISIBLE and not _belongs(text, i)
    )
    found = [f"{count} x {name}" for name, count in counts.items()]
    return found if unicodedata.is_normalized("NFC", text) else [*found, "not in Unicode's form NFC"]


def _belongs(text: str, i: int) -> bool:
    """Return whether a joiner stands in a script that is spelled with joiners."""
    if text[i] not in _JOINERS:
        return False
    script = main_script(text[:i])
    return script is not None and script not in _WITHOUT_JOINERS
