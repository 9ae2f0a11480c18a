"""Reduce texts to how they sound, so that texts in different scripts can be compared.

A model that hardly knows a language writes it in the script of a relative: Whisper base hears Malayalam, and writes
Tamil. Unicode names most letters after their sound, such as MALAYALAM LETTER KHA. The consonants of these names, in
coarse classes, are nearly the same in both scripts.
"""

import functools
import re
import unicodedata

# Letters of a class are the same sound: some scripts do not write the difference, such as Tamil.
_CLASSES = str.maketrans("GQXDBFCJZW", "KKKTPPSSSV")
_VOWELS = "AEIOU"
# The name of a letter is a word that begins with its sound, such as ALPHA or BEH, and not the sound itself.
_NAMED = ("GREEK", "ARABIC", "HEBREW", "ARMENIAN", "GEORGIAN", "SYRIAC", "THAANA")
_SOUND = re.compile(
    r"(?:LETTER|SYLLABLE|CHARACTER|VOWEL SIGN|CHILLU) (?:CHILLU |FINAL |SARA |VOCALIC |SMALL )?([A-Z]+)"
)
_SIGNS = {"SIGN ANUSVARA": "M", "SIGN VISARGA": "H", "SIGN TIPPI": "N", "SIGN BINDI": "N", "SIGN CANDRABINDU": "N"}


def sounds(text: str) -> str:
    """Return the consonants of a text in coarse classes, such as "KMPTL". Ideographs stand for themselves."""
    found = "".join(map(_sound, unicodedata.normalize("NFKC", text)))
    return re.sub(r"(.)\1+", r"\1", found)


@functools.cache
def _sound(character: str) -> str:
    """Return the consonants of one character. A vowel, a mark or a sign has none."""
    name = unicodedata.name(character, "")
    if name.startswith("CJK"):
        return character
    if sign := next((sign for sign in _SIGNS if name.endswith(sign)), None):
        return _SIGNS[sign]
    match = _SOUND.search(name)
    if not match or match[1] == "MAI":  # MAI names the vowel and tone marks of Thai
        return ""
    word = match[1]
    if name.startswith(_NAMED):
        word = word[0]
    elif name.startswith("CYRILLIC"):
        word = re.sub(rf"^[{_VOWELS}]+(?=.)", "", word)[0]
    consonants = re.sub(rf"[{_VOWELS}]", "", word)
    return re.sub(r"(?<=.)H", "", consonants).translate(_CLASSES)
