"""Made-up sentences full of what normalizers have rules for: numbers, money, contractions, brackets, marks."""

import random
from collections.abc import Iterator

from mlx_whisper_lora.whisper import normalizers as rules
from mlx_whisper_lora.whisper.normalizers import american_spellings

NUMBER_WORDS = sorted(rules.NUMBER_WORDS)
SMALL_NUMBERS = sorted({*rules.ONES, *rules.TENS, *rules.ZEROS, "hundred", "thousand", "million"})
BRITISH = sorted(american_spellings())
WORDS = ("the", "cat", "a", "half", "is", "i", "it", "he", "she", "been", "gone", "done", "got", "ninth", "nineth",
         "forty-two", "mp3", "RC232", "co-op", "naïve", "café", "Ødegård", "straße", "Œuvre", "e\u0301tude", "ﬁne",
         "İstanbul", "ÞÓRR", "ㅎ", "한국어", "日本語", "नमस्ते", "నమస్కారం", "สวัสดี", "العَرَبِيَّة", "Привет",
         "👩🏽‍🚀", "🇮🇳", "𝐀𝐁", "ℒ", "ᴭ", "½", "²", "ª", "№", "Ⅻ", "٣", "७८", "१.५", "\u0301", "\u200d", "\u00a0")  # fmt: skip
NUMERALS = ("0", "1", "1s", "7", "10", "100", "1000", "2000", "007", "1.0", "1.5", "0.5", "0.07", "3.14159", "1,000",
            "1,2,3", "12,345,678", "192.168.0.1", "1960s", "3rd", "1st", "22nd", "13 th", "10km", "5th2", "$20", "$1",
            "$1.50", "£0.07", "€3", "¢7", "¢99", "$0 5", "-5", "+3", "-0.5", "50%", "7.5 %", "%", "$", ".5", "5.", "$.5",
            "£ 5", "1/2", "7:45", "2-3", "20-20", "1e5", "0x1F", "1.2.3")  # fmt: skip
PHRASES = ("and a half", "and  a\thalf", "two and a half", "per cent", "double oh", "triple seven", "double ten",
           "point five", "zero point", "o point one", "thousand million", "and twenty cents", "dollars and",
           "and ¢5", "$2 and ¢7", "nineteen ninety", "twenty twenty five", "one oh one", "minus five")  # fmt: skip
CONTRACTIONS = (*rules.CONTRACTIONS, *rules.TITLES, "he's", "they're", "i'd", "we'll", "don't", "you've", "i'm",
                "she'd been", "it's got", "he's gone", "'tis", "o'clock", "rock 'n' roll", "'d", "'s", "n't", "been't",
                "he 's", "dogs'", "x's y's", "can’t", "Mr.", "Dr.", "St.", "e.g.")  # fmt: skip
NOISES = ("hmm", "mm", "mhm", "mmm", "uh", "um", "Um,", "(laughs)", "[applause]", "<unk>", "[a>", "<a]", "(a (b) c)",
          "()", "(", ")", "[", "]", "<", ">", "[]", "(((", "♪", "♪ la ♪", "_", "~", "...", "…", "—", "-", "'", '"', "#",
          "@you", "&", "\\", "\u2028", "\n", "\t", "\x1c")  # fmt: skip
KINDS = (NUMBER_WORDS, SMALL_NUMBERS, NUMERALS, PHRASES, CONTRACTIONS, NOISES, BRITISH, WORDS)
BETWEEN = (" ", " ", " ", " ", " ", " ", " ", ", ", ". ", "? ", "-", "", "  ", "'", ".", ",", "! ", ": ", " and ", "/")


def made_up_sentences(seed: int) -> Iterator[str]:
    """Without end. Numbers crowd together in some, and others mix everything."""
    random_ = random.Random(seed)
    while True:
        weights = [random_.random() ** 3 for _ in KINDS]
        spaced = random_.random() < 0.5
        sentence = ""
        for kind in random_.choices(KINDS, weights, k=random_.randint(1, 14)):
            word = random_.choice(kind)
            if random_.random() < 0.1:
                word = random_.choice((word.upper(), word.title(), word + "s", word[::-1]))
            sentence += word + (" " if spaced else random_.choice(BETWEEN))
        yield sentence
