"""Reduce texts to how they sound, so that texts in different scripts can be compared.

A model that hardly knows a language writes it in the script of a relative: Whisper base hears Malayalam, and writes
Tamil. Unicode names most letters after their sound, such as MALAYALAM LETTER KHA. In coarse classes, the sounds are
nearly the same in both scripts.
"""

import functools
import re
import unicodedata

# Sounds of a class count as one: some scripts do not write the difference, such as Tamil.
_CLASSES = str.maketrans("GQXDBFCJZWEO", "KKKTPPSSSVIU")
_VOWELS = "AEIOU"
# The name of a letter is a word that begins with its sound, such as ALPHA or KO KAI.
_NAMED = ("GREEK", "ARABIC", "HEBREW", "ARMENIAN", "GEORGIAN", "SYRIAC", "THAANA", "THAI", "LAO")
_SOUND = re.compile(r"(?:LETTER|SYLLABLE|CHARACTER|VOWEL SIGN) (?:CHILLU |FINAL |SARA |VOCALIC |SMALL )?([A-Z]+)")
_SIGNS = {"SIGN ANUSVARA": "M", "SIGN VISARGA": "H", "SIGN TIPPI": "N", "SIGN BINDI": "N", "SIGN CANDRABINDU": "N"}
_KILLERS = ("VIRAMA", "COENG", "ASAT", "AL-LAKUNA")  # signs that take the vowel from a consonant


def sounds(text: str) -> str:
    """Return the sounds of a text in coarse classes, such as "NAMASTI". Digits and ideographs stand for themselves."""
    found = ""
    for character in unicodedata.normalize("NFKC", text):
        name = unicodedata.name(character, "")
        if "VOWEL SIGN" in name or name.endswith(_KILLERS):
            found = found.removesuffix("A")  # the vowel in the name of the consonant before, such as KA
        found += _sound(character, name)
    found = re.sub(rf"(?<=[^{_VOWELS}])H", "", found).translate(_CLASSES)
    return re.sub(r"(.)\1+", r"\1", found)


@functools.cache
def _sound(character: str, name: str) -> str:
    """Return the sounds of one character. A mark or a sign has none."""
    if name.startswith("CJK"):
        return character
    if character.isdigit():
        return str(unicodedata.digit(character))
    if sign := next((sign for sign in _SIGNS if name.endswith(sign)), None):
        return _SIGNS[sign]
    match = _SOUND.search(name)
    if not match or match[1] == "MAI":  # MAI names the vowel and tone marks of Thai
        return ""
    word = match[1]
    if name.startswith("CYRILLIC"):
        return (word.strip(_VOWELS) or word)[0]  # BE, EL and SHA, but also IE
    return word[0] if name.startswith(_NAMED) else word
