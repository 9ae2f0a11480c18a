"""Normalize texts before their words are compared, so that case, punctuation, spelling and numbers do not count.

`normalize_unicode` suits every language. BasicTextNormalizer (any language) and EnglishTextNormalizer give exactly the
texts that openai-whisper's do (whisper/normalizers; the Whisper paper's appendix C), oddities included, so that error
rates can be compared with published ones.
"""

import functools
import json
import re
import unicodedata
from collections.abc import Callable
from fractions import Fraction

from mlx_whisper_lora.whisper.assets import ASSETS

# fmt: off
# Letters that Unicode does not decompose into a letter and a mark.
_PLAIN_LETTERS = {
    "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "æ": "ae", "Æ": "AE", "ß": "ss", "ẞ": "SS", "đ": "d", "Đ": "D",
    "ð": "d", "Ð": "D", "þ": "th", "Þ": "th", "ł": "l", "Ł": "L",
}

_FILLERS = r"\b(hmm|mm|mhm|mmm|uh|um)\b"
_CONTRACTIONS = {
    "won't": "will not", "can't": "can not", "let's": "let us", "ain't": "aint", "y'all": "you all",
    "wanna": "want to", "gotta": "got to", "gonna": "going to", "i'ma": "i am going to", "imma": "i am going to",
    "woulda": "would have", "coulda": "could have", "shoulda": "should have", "ma'am": "madam",
}
_TITLES = {
    "mr": "mister", "mrs": "missus", "st": "saint", "dr": "doctor", "prof": "professor", "capt": "captain",
    "gov": "governor", "ald": "alderman", "gen": "general", "sen": "senator", "rep": "representative",
    "pres": "president", "rev": "reverend", "hon": "honorable", "asst": "assistant", "assoc": "associate",
    "lt": "lieutenant", "col": "colonel", "jr": "junior", "sr": "senior", "esq": "esquire",
}
# The order counts: "'s" stands for "is" if it does not stand for "has".
_ENDINGS = {
    "'d been": "had been", "'s been": "has been", "'d gone": "had gone", "'s gone": "has gone", "'d done": "had done",
    "'s got": "has got", "n't": "not", "'re": "are", "'s": "is", "'d": "would", "'ll": "will", "'t": "not",
    "'ve": "have", "'m": "am",
}

_ZEROS = ("o", "oh", "zero")
_ONES = {
    "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
    "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16, "seventeen": 17,
    "eighteen": 18, "nineteen": 19,
}
_TENS = {
    "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90,
}
_MULTIPLIERS = {
    "hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12, "quadrillion": 10**15,
    "quintillion": 10**18, "sextillion": 10**21, "septillion": 10**24, "octillion": 10**27, "nonillion": 10**30,
    "decillion": 10**33,
}
_IRREGULAR_ORDINALS = {
    "zeroth": (0, "th"), "first": (1, "st"), "second": (2, "nd"), "third": (3, "rd"), "fifth": (5, "th"),
    "eighth": (8, "th"), "twelfth": (12, "th"),
}
_SIGNS = {"minus": "-", "negative": "-", "plus": "+", "positive": "+"}  # spoken before the number
_CURRENCIES = {
    "pound": "£", "pounds": "£", "euro": "€", "euros": "€", "dollar": "$", "dollars": "$", "cent": "¢", "cents": "¢",
}
# fmt: on

# Words of numbers -> their value, and the suffix that is written behind the digits: 3rd, 1960s.
_COUNTS = (
    {word: (number, "") for word, number in (_ONES | _TENS).items()}
    | {"sixes" if word == "six" else word + "s": (number, "s") for word, number in _ONES.items()}
    # openai-whisper spells 9th as "nineth", so "ninth" stays a word.
    | {word + "th": (number, "th") for word, number in _ONES.items() if number not in (1, 2, 3, 5, 8, 12)}
    | {word.replace("y", "ies"): (number, "s") for word, number in _TENS.items()}
    | {word.replace("y", "ieth"): (number, "th") for word, number in _TENS.items()}
    | _IRREGULAR_ORDINALS
)
_SCALES = {word + suffix: (number, suffix) for word, number in _MULTIPLIERS.items() for suffix in ("", "s", "th")}
_SYMBOLS = {*_SIGNS.values(), *_CURRENCIES.values()}
_REPEATS = {"double": 2, "triple": 3}
_DECIMALS = {*_ONES, *_TENS, *_ZEROS}  # words that may follow "point"
_NUMBER_WORDS = {*_ZEROS, *_COUNTS, *_SCALES, *_SIGNS, *_CURRENCIES, *_REPEATS, "per", "percent", "and", "point"}
_NUMERAL = re.compile(r"\d+(\.\d+)?")


def normalize_unicode(text: str) -> str:
    """Lower the case, compose compatibility forms, and replace punctuation and symbols by single spaces.

    Marks are kept, because in Telugu, Hindi or Arabic they are vowels. (BasicTextNormalizer removes them.)
    """
    return " ".join(_replace_by_spaces(unicodedata.normalize("NFKC", text).lower(), "PS").split())


class BasicTextNormalizer:
    """openai-whisper's normalizer for any language: removes bracketed text, punctuation, symbols and marks.

    Args:
        remove_diacritics: whether é becomes e. Otherwise, only marks that cannot be composed with their letter are
            removed. They become spaces, which splits words of many scripts.
        split_letters: whether to put a space between any two letters, for languages that are written without spaces.
    """

    def __init__(self, remove_diacritics: bool = False, split_letters: bool = False):
        self.remove_diacritics = remove_diacritics
        self.split_letters = split_letters

    def __call__(self, text: str) -> str:
        text = _remove_brackets(text.lower())
        if self.remove_diacritics:
            text = _remove_diacritics(text)
        else:
            text = _replace_by_spaces(unicodedata.normalize("NFKC", text), "MSP")
        text = text.lower()  # again, because compatibility forms such as 𝐀 have become letters
        if self.split_letters:
            import regex  # because the standard library cannot match a letter with its marks

            text = " ".join(regex.findall(r"\X", text))
        return re.sub(r"\s+", " ", text)


class EnglishTextNormalizer:
    """openai-whisper's normalizer for English.

    It writes out contractions and titles, writes numbers as digits, and uses American spelling.
    """

    def __init__(self):
        self.standardize_numbers = EnglishNumberNormalizer()
        self.standardize_spellings = EnglishSpellingNormalizer()

    def __call__(self, text: str) -> str:
        text = _remove_brackets(text.lower())
        text = re.sub(_FILLERS, "", text)
        text = _write_out(re.sub(r"\s+'", "'", text))
        text = re.sub(r"(\d),(\d)", r"\1\2", text)  # a digit is joined once: 1,000,000 is one number, 1,2,3 is 12 and 3
        text = re.sub(r"\.([^0-9]|$)", r" \1", text)  # full stops, but not decimal points
        text = _remove_diacritics(text, keep=".%$¢€£")
        text = self.standardize_spellings(self.standardize_numbers(text))
        # Remove symbols that do not belong to a number. ($1 is "$one" by now, and loses its sign.)
        text = re.sub(r"[.$¢€£]([^0-9])", r" \1", text)
        text = re.sub(r"([^0-9])%", r"\1 ", text)
        return re.sub(r"\s+", " ", text)


class EnglishSpellingNormalizer:
    """Replaces British spellings by American ones (https://www.tysto.com/uk-us-spelling-list.html), word by word."""

    def __call__(self, text: str) -> str:
        american = american_spellings()
        return " ".join(american.get(word, word) for word in text.split())


class EnglishNumberNormalizer:
    """Writes numbers as digits: two hundred and five dollars as $205, nineteen sixties as 1960s, one oh one as 101."""

    def __call__(self, text: str) -> str:
        text = _separate_from_letters(_halves_to_decimals(text))
        return _join_cents(" ".join(_NumberReader(text.split()).read()))


class _NumberReader:
    """Reads words from left to right, and writes those of each number as one word of digits."""

    def __init__(self, words: list[str]):
        self.words = words
        self.at = 0  # the word that is being read
        self.written: list[str] = []
        # The number until now: an int while more can be added to it, a text once digits are strung together
        # ("nineteen twenty" is "1920"), None outside a number.
        self.number: int | str | None = None
        self.sign = ""  # is written before the next word

    def read(self) -> list[str]:
        """Return all words, those of numbers as digits."""
        while self.at < len(self.words):
            self.read_word(self.words[self.at])
            self.at += 1
        self.end_number()
        return self.written

    def read_word(self, word: str) -> None:
        if _is_numeral(word[1:] if word[0] in _SYMBOLS else word):
            self.read_numeral(word)
        elif word in _ZEROS:
            self.number = f"{self.number or ''}0"
        elif word in _COUNTS:
            number, suffix = _COUNTS[word]
            self.take(self.joined(number), suffix)
        elif word in _SCALES:
            multiplier, suffix = _SCALES[word]
            self.take(self.scaled(multiplier), suffix)
        elif word in _SIGNS and self.number_follows():
            self.end_number()
            self.sign = _SIGNS[word]
        elif word in _CURRENCIES and self.number is not None:
            self.sign = _CURRENCIES[word]  # in place of a minus
            self.end_number()
        elif word == "percent" and self.number is not None:
            self.write(f"{self.number}%")
        elif word == "per" and self.following == "cent" and self.number is not None:
            self.write(f"{self.number}%")
            self.at += 1
        elif word == "and" and self.number_follows() and self.previous in _MULTIPLIERS:
            pass  # two hundred and five
        elif word in _REPEATS and self.following in (*_ONES, *_ZEROS):
            self.number = f"{self.number or ''}{str(_ONES.get(self.following, 0)) * _REPEATS[word]}"
            self.at += 1
        elif word == "point" and self.number_follows():
            if self.following in _DECIMALS or _is_numeral(self.following):  # else the point is dropped
                self.number = f"{self.number or ''}."
        else:
            self.end_number()
            self.write(word)

    def read_numeral(self, word: str) -> None:
        if isinstance(self.number, str) and self.number.endswith("."):
            self.number += word
            return
        self.end_number()
        if word[0] in _SYMBOLS:
            self.sign, word = word[0], word[1:]
        value = _as_fraction(word)
        self.number = value.numerator if value is not None and value.denominator == 1 else word

    @property
    def previous(self) -> str:
        return self.words[self.at - 1] if self.at else ""

    @property
    def following(self) -> str:
        return self.words[self.at + 1] if self.at + 1 < len(self.words) else ""

    def number_follows(self) -> bool:
        """Return whether the next word can belong to a number."""
        return self.following in _NUMBER_WORDS or _is_numeral(self.following)

    def joined(self, number: int) -> int | str:
        """Return the number with a word of _ONES or _TENS behind it: added if there is room, and else appended."""
        if self.number is None:
            return number
        if isinstance(self.number, str) and self.previous in _TENS and number < 10:
            return f"{self.number[:-1]}{number}"  # nineteen twenty five
        room = 10 if number < 10 else 100
        if isinstance(self.number, str) or self.previous in _ONES or self.number % room:
            return f"{self.number}{number}"
        return self.number + number

    def scaled(self, multiplier: int) -> int:
        """Return the number times `multiplier`. Of an int, only the part below 1,000 grows: 2,003 hundred is 2,300.

        If a text does not become a whole number, such as 1.2.3, it is written, and a new number begins.
        """
        if self.number is None:
            return multiplier
        if isinstance(self.number, int):
            below = self.number % 1000
            return self.number - below + below * multiplier
        value = _as_fraction(self.number)
        if value is None or (value * multiplier).denominator != 1:
            self.end_number()
            return multiplier
        return (value * multiplier).numerator

    def take(self, number: int | str, suffix: str) -> None:
        """Continue with `number`, or write it if it has a suffix."""
        if suffix:
            self.write(f"{number}{suffix}")
        else:
            self.number = number

    def end_number(self) -> None:
        """Write the number, if there is one."""
        if self.number is not None:
            self.write(str(self.number))

    def write(self, word: str) -> None:
        """Write a word behind its sign, and start afresh."""
        self.written.append(self.sign + word)
        self.number, self.sign = None, ""


def _is_numeral(word: str) -> bool:
    return _NUMERAL.fullmatch(word) is not None


def _as_fraction(text: str) -> Fraction | None:
    try:
        return Fraction(text)
    except ValueError:  # not a number, or one with more digits than Python reads
        return None


def _halves_to_decimals(text: str) -> str:
    """Replace "two and a half" by "two point five".

    If no word is before it, "and a half" is dropped, as in openai-whisper.
    """
    *before, last = re.split(r"\band\s+a\s+half\b", text)
    pieces = []
    for part in before:
        if part.strip():
            number = part.split()[-1] in (*_DECIMALS, *_MULTIPLIERS)
            pieces += [part, "point five" if number else "and a half"]
    return " ".join([*pieces, last])


def _separate_from_letters(text: str) -> str:
    """Separate digits from letters, 10km as 10 km, but keep suffixes: 1960s and 1960 s both as 1960s."""
    text = re.sub(r"(?<=[a-z])(?=[0-9])|(?<=[0-9])(?=[a-z])", " ", text)
    return re.sub(r"(?<=[0-9])\s+(?=(st|nd|rd|th|s)\b)", "", text)


def _join_cents(text: str) -> str:
    """Join dollars and cents, $2 and ¢7 as $2.07; write $0.07 as ¢7, and 1 and 1s as one and ones."""
    text = re.sub(r"([€£$][0-9]+) (?:and )?¢([0-9]{1,2})\b", lambda match: f"{match[1]}.{int(match[2]):02d}", text)
    # openai-whisper accepts any character in place of the point.
    text = re.sub(r"[€£$]0.([0-9]{1,2})\b", lambda match: f"¢{int(match[1])}", text)
    return re.sub(r"\b1(s?)\b", r"one\1", text)


@functools.cache
def american_spellings() -> dict[str, str]:
    """Return the American spelling of each British one."""
    return json.loads((ASSETS / "english_spellings.json").read_text(encoding="utf-8"))


def _write_out(text: str) -> str:
    """Write out contractions and titles."""
    for short, full in _CONTRACTIONS.items():
        text = re.sub(rf"\b{short}\b", full, text)
    for short, full in _TITLES.items():
        text = re.sub(rf"\b{short}\b", full + " ", text)
    for short, full in _ENDINGS.items():
        text = re.sub(rf"{short}\b", " " + full, text)
    return text


def _remove_brackets(text: str) -> str:
    text = re.sub(r"[<\[][^>\]]*[>\]]", "", text)
    return re.sub(r"\(([^)]+?)\)", "", text)


def _replace_by_spaces(text: str, categories: str) -> str:
    """Replace characters of these Unicode categories by spaces: M for marks, S for symbols, P for punctuation."""
    return "".join(" " if unicodedata.category(character)[0] in categories else character for character in text)


def _remove_diacritics(text: str, keep: str = "") -> str:
    """Remove marks from letters, and replace symbols and punctuation by spaces, except the characters in `keep`."""
    return "".join(_plain_character(character, keep) for character in unicodedata.normalize("NFKD", text))


def _plain_character(character: str, keep: str) -> str:
    category = unicodedata.category(character)
    if character in keep:
        return character
    if character in _PLAIN_LETTERS:
        return _PLAIN_LETTERS[character]
    if category == "Mn":
        return ""
    return " " if category[0] in "MSP" else character


Normalizer = Callable[[str], str]
NORMALIZERS: dict[str, Normalizer] = {
    "unicode": normalize_unicode,
    "basic": BasicTextNormalizer(),
    "english": EnglishTextNormalizer(),
}
