"""Sentences that exercise the rules of normalizers: numbers, money, contractions, brackets, punctuation.

Their words are openai-whisper's own, so that a comparison finds a word that we lack.
"""

import random
from collections.abc import Iterator

from whisper.normalizers import EnglishTextNormalizer

RULES = EnglishTextNormalizer()
NUMBERS = RULES.standardize_numbers
NUMBER_WORDS = sorted(NUMBERS.words)
SMALL_NUMBERS = sorted({*NUMBERS.ones, *NUMBERS.tens, *NUMBERS.zeros, "hundred", "thousand", "million"})
BRITISH = sorted(RULES.standardize_spellings.mapping)
SHORT = [pattern.replace(r"\b", "") for pattern in RULES.replacers]
WORDS = ("the", "cat", "a", "half", "is", "i", "it", "he", "she", "been", "gone", "done", "got", "ninth", "nineth",
         "forty-two", "mp3", "RC232", "co-op", "naïve", "café", "Ødegård", "straße", "Œuvre", "e\u0301tude", "ﬁne",
         "İstanbul", "ÞÓRR", "ㅎ", "한국어", "日本語", "नमस्ते", "నమస్కారం", "สวัสดี", "العَرَبِيَّة", "Привет",
         "👩🏽‍🚀", "🇮🇳", "𝐀𝐁", "ℒ", "ᴭ", "½", "²", "ª", "№", "Ⅻ", "٣", "७८", "१.५",
         "\u0301", "\u200d", "\u00a0")  # fmt: skip
NUMERALS = ("0", "1", "1s", "7", "10", "100", "1000", "2000", "007", "1.0", "1.5", "0.5", "0.07", "3.14159", "1,000",
            "1,2,3", "12,345,678", "192.168.0.1", "1960s", "3rd", "1st", "22nd", "13 th", "10km", "5th2", "$20", "$1",
            "$1.50", "£0.07", "€3", "¢7", "¢99", "$0 5", "-5", "+3", "-0.5", "50%", "7.5 %", "%", "$", ".5", "5.",
            "$.5", "£ 5", "1/2", "7:45", "2-3", "20-20", "1e5", "0x1F", "1.2.3")  # fmt: skip
PHRASES = ("and a half", "and  a\thalf", "two and a half", "per cent", "double oh", "triple seven", "double ten",
           "point five", "zero point", "o point one", "thousand million", "and twenty cents", "dollars and",
           "and ¢5", "$2 and ¢7", "nineteen ninety", "twenty twenty five", "one oh one", "minus five")  # fmt: skip
CONTRACTIONS = (*SHORT, "he's", "they're", "i'd", "we'll", "don't", "you've", "i'm",
                "she'd been", "it's got", "he's gone", "'tis", "o'clock", "rock 'n' roll", "'d", "'s", "n't", "been't",
                "he 's", "dogs'", "x's y's", "can’t", "Mr.", "Dr.", "St.", "e.g.")  # fmt: skip
NOISES = ("hmm", "mm", "mhm", "mmm", "uh", "um", "Um,", "(laughs)", "[applause]", "<unk>", "[a>", "<a]", "(a (b) c)",
          "()", "(", ")", "[", "]", "<", ">", "[]", "(((", "♪", "♪ la ♪", "_", "~", "...", "…", "—", "-", "'", '"', "#",
          "@you", "&", "\\", "\u2028", "\n", "\t", "\x1c")  # fmt: skip
# Real sentences, beside the random ones.
SENTENCES = (
    "Let's meet at Dr. Brown's at 7:30, shan't we?",
    "They'd been waiting since the nineteen eighties; it's been 40 years, hasn't it?",
    "Mr. and Mrs. O'Neil won't come. Y'all gotta ask Prof. Lee, Jr.",
    "Two hundred and thirty five thousand people, i.e. 235,000.",
    "It costs twenty five dollars and fifty cents, or $25.50, or £20 million.",
    "One hundred and one point five per cent of nothing is 0%.",
    "My number is double oh seven, triple nine, four two.",
    "Two and a half million, three and a half hours, and a half.",
    "The first, the second, the twenty third and the ninth of two thousand and nine.",
    "Uh, I, um, think (laughs) it's [inaudible] 10km to St. Mary's, mhm.",
    "The colour of the aluminium theatre programme was analysed by organisers.",
    "Minus five degrees, plus or minus one; negative feedback, positive people.",
    "In the 1960s and the nineteen sixties, the 3rd and the third.",
    "He's got one, she's got two, and the ones that don't… well.",
    "Call 1-800-555-0199; version 3.11.7, not 3.12. Then wait...",
    "Naïve café owners in Łódź; straße, smörgåsbord, œuvre, ½ cup.",
    "One thousand million is a billion. Ten ten ten. Twenty twenty five.",
    "Ten five and sixteen ten; 1,2,3; Mr.5 and St.5 of $0 5.",
    "Point million. Oh! O point one. Sixty four and seventy fifth.",
    "వాన పడుతోంది, గొడుగు తీసుకో! आज बाज़ार में आम ₹१२० किलो है।",
    "今日は雨です。傘を（かさ）持って「駅」まで行きます。",
    "L’été dernier, j’ai vu « Le Cid » à l’Opéra…",
    "",
    "...",
)
KINDS = (NUMBER_WORDS, SMALL_NUMBERS, NUMERALS, PHRASES, CONTRACTIONS, NOISES, BRITISH, WORDS)
BETWEEN = (" ", " ", " ", " ", " ", " ", " ", ", ", ". ", "? ", "-", "", "  ", "'", ".", ",", "! ", ": ", " and ", "/")


def made_up_sentences(seed: int) -> Iterator[str]:
    """Yield random sentences without end: some are crowded with numbers, others mix everything."""
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
