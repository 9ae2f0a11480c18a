"""Texts made alike before their words are compared: case, punctuation, spellings and numbers are no errors.

`normalize_unicode` suits every language. BasicTextNormalizer (any language) and EnglishTextNormalizer answer exactly
as openai-whisper's do (whisper/normalizers; the Whisper paper's appendix C), oddities included, so that error rates
can be compared with published ones.
"""

import functools
import json
import re
import unicodedata
from collections.abc import Callable
from fractions import Fraction

from mlx_whisper_lora.whisper.assets import ASSETS

# Letters that are not taken apart into a letter and a mark.
PLAIN_LETTERS = {
    "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "æ": "ae", "Æ": "AE", "ß": "ss", "ẞ": "SS", "đ": "d", "Đ": "D",
    "ð": "d", "Ð": "D", "þ": "th", "Þ": "th", "ł": "l", "Ł": "L",
}  # fmt: skip

FILLERS = r"\b(hmm|mm|mhm|mmm|uh|um)\b"
CONTRACTIONS = {
    "won't": "will not", "can't": "can not", "let's": "let us", "ain't": "aint", "y'all": "you all",
    "wanna": "want to", "gotta": "got to", "gonna": "going to", "i'ma": "i am going to", "imma": "i am going to",
    "woulda": "would have", "coulda": "could have", "shoulda": "should have", "ma'am": "madam",
}  # fmt: skip
TITLES = {
    "mr": "mister", "mrs": "missus", "st": "saint", "dr": "doctor", "prof": "professor", "capt": "captain",
    "gov": "governor", "ald": "alderman", "gen": "general", "sen": "senator", "rep": "representative",
    "pres": "president", "rev": "reverend", "hon": "honorable", "asst": "assistant", "assoc": "associate",
    "lt": "lieutenant", "col": "colonel", "jr": "junior", "sr": "senior", "esq": "esquire",
}  # fmt: skip
# In this order: "'s" is "is" where it is not "has".
ENDINGS = {
    "'d been": "had been", "'s been": "has been", "'d gone": "had gone", "'s gone": "has gone", "'d done": "had done",
    "'s got": "has got", "n't": "not", "'re": "are", "'s": "is", "'d": "would", "'ll": "will", "'t": "not",
    "'ve": "have", "'m": "am",
}  # fmt: skip

ZEROS = ("o", "oh", "zero")
ONES = {
    word: number
    for number, word in enumerate(
        ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen",
         "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"), start=1)
}  # fmt: skip
TENS = {
    "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90,
}  # fmt: skip
MULTIPLIERS = {"hundred": 100} | {
    word: 1000**power
    for power, word in enumerate(
        ("thousand", "million", "billion", "trillion", "quadrillion", "quintillion", "sextillion", "septillion",
         "octillion", "nonillion", "decillion"), start=1)
}  # fmt: skip
IRREGULAR_ORDINALS = {
    "zeroth": (0, "th"), "first": (1, "st"), "second": (2, "nd"), "third": (3, "rd"), "fifth": (5, "th"),
    "eighth": (8, "th"), "twelfth": (12, "th"),
}  # fmt: skip

# Words of numbers with their value, and what is left of the word as a suffix: 3rd, 1960s.
COUNTS = (
    {word: (number, "") for word, number in (ONES | TENS).items()}
    | {"sixes" if word == "six" else word + "s": (number, "s") for word, number in ONES.items()}
    # openai-whisper writes 9th "nineth", so "ninth" stays a word.
    | {word + "th": (number, "th") for word, number in ONES.items() if number not in (1, 2, 3, 5, 8, 12)}
    | {word.replace("y", "ies"): (number, "s") for word, number in TENS.items()}
    | {word.replace("y", "ieth"): (number, "th") for word, number in TENS.items()}
    | IRREGULAR_ORDINALS
)
SCALES = {word + suffix: (number, suffix) for word, number in MULTIPLIERS.items() for suffix in ("", "s", "th")}
SIGNS = {"minus": "-", "negative": "-", "plus": "+", "positive": "+"}  # said before the number
CURRENCIES = {
    "pound": "£", "pounds": "£", "euro": "€", "euros": "€", "dollar": "$", "dollars": "$", "cent": "¢", "cents": "¢",
}  # fmt: skip
SYMBOLS = {*SIGNS.values(), *CURRENCIES.values()}
REPEATS = {"double": 2, "triple": 3}
DECIMALS = {*ONES, *TENS, *ZEROS}  # what may follow "point"
NUMBER_WORDS = {*ZEROS, *COUNTS, *SCALES, *SIGNS, *CURRENCIES, *REPEATS, "per", "percent", "and", "point"}
NUMERAL = re.compile(r"\d+(\.\d+)?")


def normalize_unicode(text: str) -> str:
    """Lower case, compatibility forms composed, punctuation and symbols turned to spaces, single spaces.

    Marks stay: in Telugu, Hindi or Arabic they are vowels. (BasicTextNormalizer removes them.)
    """
    return " ".join(blanked(unicodedata.normalize("NFKC", text).lower(), "PS").split())


class BasicTextNormalizer:
    """openai-whisper's for any language: brackets and what is in them, punctuation, symbols and marks go.

    remove_diacritics: é becomes e; without it, only marks that are no part of a composed letter go (they become
    spaces, which cuts words of many scripts). split_letters: a space between any two letters, for languages that are
    written without.
    """

    def __init__(self, remove_diacritics: bool = False, split_letters: bool = False):
        self.remove_diacritics = remove_diacritics
        self.split_letters = split_letters

    def __call__(self, text: str) -> str:
        text = without_brackets(text.lower())
        if self.remove_diacritics:
            text = without_diacritics(text)
        else:
            text = blanked(unicodedata.normalize("NFKC", text), "MSP")
        text = text.lower()  # again: compatibility forms such as 𝐀 became letters just now
        if self.split_letters:
            import regex  # the standard library knows no letters with their marks

            text = " ".join(regex.findall(r"\X", text))
        return re.sub(r"\s+", " ", text)


class EnglishTextNormalizer:
    """openai-whisper's for English: contractions and titles written out, numbers as digits, American spelling."""

    def __init__(self):
        self.standardize_numbers = EnglishNumberNormalizer()
        self.standardize_spellings = EnglishSpellingNormalizer()

    def __call__(self, text: str) -> str:
        text = without_brackets(text.lower())
        text = re.sub(FILLERS, "", text)
        text = written_out(re.sub(r"\s+'", "'", text))
        text = re.sub(r"(\d),(\d)", r"\1\2", text)  # a digit joins once: 1,000,000 is one number, 1,2,3 is 12 and 3
        text = re.sub(r"\.([^0-9]|$)", r" \1", text)  # full stops, but no decimal points
        text = without_diacritics(text, keep=".%$¢€£")
        text = self.standardize_spellings(self.standardize_numbers(text))
        # Symbols that turned out to be at no number. ($1 is "$one" by now, and loses its sign.)
        text = re.sub(r"[.$¢€£]([^0-9])", r" \1", text)
        text = re.sub(r"([^0-9])%", r"\1 ", text)
        return re.sub(r"\s+", " ", text)


class EnglishSpellingNormalizer:
    """British spellings to American ones, word by word, of the list at https://www.tysto.com/uk-us-spelling-list.html."""

    def __call__(self, text: str) -> str:
        american = american_spellings()
        return " ".join(american.get(word, word) for word in text.split())


class EnglishNumberNormalizer:
    """Numbers in words to digits: two hundred and five dollars is $205, nineteen sixties 1960s, one oh one 101."""

    def __call__(self, text: str) -> str:
        text = apart_from_letters(halves_as_decimals(text))
        return with_cents_and_ones(" ".join(NumberReader(text.split()).read()))


class NumberReader:
    """Reads words from left to right and writes them down again, those of a number as one word of digits.

    `number` is what was said of a number so far: an int as long as more can be added to it, a text once digits were
    strung together (nineteen, twenty: "1920"). `sign` goes before whatever is written next.
    """

    def __init__(self, words: list[str]):
        self.words = words
        self.at = 0
        self.written: list[str] = []
        self.number: int | str | None = None
        self.sign = ""

    def read(self) -> list[str]:
        while self.at < len(self.words):
            self.read_word(self.words[self.at])
            self.at += 1
        self.end_number()
        return self.written

    def read_word(self, word: str) -> None:
        if is_numeral(word[1:] if word[0] in SYMBOLS else word):
            self.read_numeral(word)
        elif word in ZEROS:
            self.number = f"{self.number or ''}0"
        elif word in COUNTS:
            number, suffix = COUNTS[word]
            self.take(self.joined(number), suffix)
        elif word in SCALES:
            multiplier, suffix = SCALES[word]
            self.take(self.scaled(multiplier), suffix)
        elif word in SIGNS and self.goes_on():
            self.end_number()
            self.sign = SIGNS[word]
        elif word in CURRENCIES and self.number is not None:
            self.sign = CURRENCIES[word]  # in place of a minus
            self.end_number()
        elif word == "percent" and self.number is not None:
            self.write(f"{self.number}%")
        elif word == "per" and self.following == "cent" and self.number is not None:
            self.write(f"{self.number}%")
            self.at += 1
        elif word == "and" and self.goes_on() and self.previous in MULTIPLIERS:
            pass  # two hundred and five
        elif word in REPEATS and self.following in (*ONES, *ZEROS):
            self.number = f"{self.number or ''}{str(ONES.get(self.following, 0)) * REPEATS[word]}"
            self.at += 1
        elif word == "point" and self.goes_on():
            if self.following in DECIMALS or is_numeral(self.following):  # else it is left out
                self.number = f"{self.number or ''}."
        else:
            self.end_number()
            self.write(word)

    def read_numeral(self, word: str) -> None:
        if isinstance(self.number, str) and self.number.endswith("."):
            self.number += word
            return
        self.end_number()
        if word[0] in SYMBOLS:
            self.sign, word = word[0], word[1:]
        value = as_fraction(word)
        self.number = value.numerator if value is not None and value.denominator == 1 else word

    @property
    def previous(self) -> str:
        return self.words[self.at - 1] if self.at else ""

    @property
    def following(self) -> str:
        return self.words[self.at + 1] if self.at + 1 < len(self.words) else ""

    def goes_on(self) -> bool:
        """Whether the next word may belong to a number."""
        return self.following in NUMBER_WORDS or is_numeral(self.following)

    def joined(self, number: int) -> int | str:
        """The number so far with one of ONES or TENS behind it: added where it leaves room, else strung on."""
        if self.number is None:
            return number
        if isinstance(self.number, str) and self.previous in TENS and number < 10:
            return f"{self.number[:-1]}{number}"  # nineteen twenty five
        room = 10 if number < 10 else 100
        if isinstance(self.number, str) or self.previous in ONES or self.number % room:
            return f"{self.number}{number}"
        return self.number + number

    def scaled(self, multiplier: int) -> int:
        """The number so far times `multiplier`; of an int, what is below a thousand of it: 2,003 hundred is 2,300.

        A text that this makes no whole number, such as 1.2.3, is written down, and a new number begins.
        """
        if self.number is None:
            return multiplier
        if isinstance(self.number, int):
            below = self.number % 1000
            return self.number - below + below * multiplier
        value = as_fraction(self.number)
        if value is None or (value * multiplier).denominator != 1:
            self.end_number()
            return multiplier
        return (value * multiplier).numerator

    def take(self, number: int | str, suffix: str) -> None:
        """The number as it is now; a suffix ends it."""
        if suffix:
            self.write(f"{number}{suffix}")
        else:
            self.number = number

    def end_number(self) -> None:
        if self.number is not None:
            self.write(str(self.number))

    def write(self, word: str) -> None:
        self.written.append(self.sign + word)
        self.number, self.sign = None, ""


def is_numeral(word: str) -> bool:
    return NUMERAL.fullmatch(word) is not None


def as_fraction(text: str) -> Fraction | None:
    try:
        return Fraction(text)
    except ValueError:  # no number, or one of more digits than Python reads
        return None


def halves_as_decimals(text: str) -> str:
    """Two and a half: two point five. Where no word is before it, "and a half" is left out, as openai-whisper does."""
    *before, last = re.split(r"\band\s+a\s+half\b", text)
    pieces = []
    for part in before:
        if part.strip():
            number = part.split()[-1] in (*DECIMALS, *MULTIPLIERS)
            pieces += [part, "point five" if number else "and a half"]
    return " ".join([*pieces, last])


def apart_from_letters(text: str) -> str:
    """10km: 10 km. But 1960s and 1960 s: 1960s."""
    text = re.sub(r"(?<=[a-z])(?=[0-9])|(?<=[0-9])(?=[a-z])", " ", text)
    return re.sub(r"(?<=[0-9])\s+(?=(st|nd|rd|th|s)\b)", "", text)


def with_cents_and_ones(text: str) -> str:
    """$2 and ¢7: $2.07. $0.07: ¢7. 1 and 1s: one and ones."""
    text = re.sub(r"([€£$][0-9]+) (?:and )?¢([0-9]{1,2})\b", lambda match: f"{match[1]}.{int(match[2]):02d}", text)
    # openai-whisper takes any character for the point.
    text = re.sub(r"[€£$]0.([0-9]{1,2})\b", lambda match: f"¢{int(match[1])}", text)
    return re.sub(r"\b1(s?)\b", r"one\1", text)


@functools.cache
def american_spellings() -> dict[str, str]:
    return json.loads((ASSETS / "english_spellings.json").read_text(encoding="utf-8"))


def written_out(text: str) -> str:
    """Contractions and titles in full."""
    for short, full in CONTRACTIONS.items():
        text = re.sub(rf"\b{short}\b", full, text)
    for short, full in TITLES.items():
        text = re.sub(rf"\b{short}\b", full + " ", text)
    for short, full in ENDINGS.items():
        text = re.sub(rf"{short}\b", " " + full, text)
    return text


def without_brackets(text: str) -> str:
    text = re.sub(r"[<\[][^>\]]*[>\]]", "", text)
    return re.sub(r"\(([^)]+?)\)", "", text)


def blanked(text: str, categories: str) -> str:
    """Characters of these Unicode categories turned to spaces: M for marks, S for symbols, P for punctuation."""
    return "".join(" " if unicodedata.category(character)[0] in categories else character for character in text)


def without_diacritics(text: str, keep: str = "") -> str:
    """Letters without their marks; symbols and punctuation turned to spaces, but for the characters in `keep`."""
    return "".join(plain(character, keep) for character in unicodedata.normalize("NFKD", text))


def plain(character: str, keep: str) -> str:
    category = unicodedata.category(character)
    if character in keep:
        return character
    if character in PLAIN_LETTERS:
        return PLAIN_LETTERS[character]
    if category == "Mn":
        return ""
    return " " if category[0] in "MSP" else character


Normalizer = Callable[[str], str]
NORMALIZERS: dict[str, Normalizer] = {
    "unicode": normalize_unicode,
    "basic": BasicTextNormalizer(),
    "english": EnglishTextNormalizer(),
}
