"""A thousand lines in thirty scripts."""

import itertools
import unicodedata
from collections.abc import Iterator

import numpy as np

# First and last code point of each script's letters, vowel signs and digits.
SCRIPTS = {
    "Latin": (0x0041, 0x024F), "Greek": (0x0370, 0x03FF), "Cyrillic": (0x0400, 0x04FF), "Armenian": (0x0531, 0x058A),
    "Hebrew": (0x05B0, 0x05F4), "Arabic": (0x0620, 0x06D3), "Syriac": (0x0710, 0x074A), "Thaana": (0x0780, 0x07B1),
    "N'Ko": (0x07C0, 0x07F5), "Devanagari": (0x0900, 0x097F), "Bengali": (0x0980, 0x09FE),
    "Gurmukhi": (0x0A01, 0x0A76), "Gujarati": (0x0A81, 0x0AFF), "Odia": (0x0B01, 0x0B77), "Tamil": (0x0B82, 0x0BFA),
    "Telugu": (0x0C00, 0x0C7F), "Kannada": (0x0C80, 0x0CF2), "Malayalam": (0x0D00, 0x0D7F),
    "Sinhala": (0x0D81, 0x0DF4), "Thai": (0x0E01, 0x0E5B), "Lao": (0x0E81, 0x0EDF), "Tibetan": (0x0F00, 0x0FBC),
    "Myanmar": (0x1000, 0x109F), "Georgian": (0x10A0, 0x10FF), "Ethiopic": (0x1200, 0x137C),
    "Cherokee": (0x13A0, 0x13FD), "Khmer": (0x1780, 0x17F9), "Kana": (0x3041, 0x30FF), "Han": (0x4E00, 0x9FA5),
    "Hangul": (0xAC00, 0xD7A3),
}  # fmt: skip
WITHOUT_SPACES = ("Thai", "Lao", "Tibetan", "Myanmar", "Khmer", "Kana", "Han")

SENTENCES = (
    " The kettle wasn't on; we'd run out of tea at 7:45, hadn't we?",
    "L’été dernier, j’ai vu « Le Cid » à l’Opéra… c’était génial !",
    "Straße, Öl & Übermut: 3,50 € – größer als ½ Pfund.",
    "¿Dónde está el año pasado? ¡Allá, señor!",
    "Żółta łódź płynie; kůň běží, ő jön, ığdır ŞİŞLİ.",
    "Η θάλασσα είναι ήρεμη σήμερα· αύριο όχι.",
    "Завтра в 9:00 поезд №12 идёт на Харьков — не опоздай!",
    "השעה שבע וחצי, והחלון עדיין פתוח.",
    "الكتاب على الطاولة، والقهوة باردة؟ ٣ مرّات.",
    "آج موسم اچھا ہے، چلو باہر چلیں۔",
    "आज बाज़ार में आम ₹१२० किलो है, क्षमा कीजिए।",
    "వాన పడుతోంది, గొడుగు తీసుకో; శ్రీకాంత్ వస్తున్నాడు.",
    "மழை நின்றது. நாம் கடற்கரைக்குப் போகலாம்!",
    "วันนี้อากาศร้อนมาก น้ำแข็งหมดแล้ว",
    "ယနေ့ မိုးရွာသည်။ ထီးယူပါ။",
    "今日は雨です。傘を持って「駅」まで行きます、ね？",
    "明天上午十点，在老地方见；别忘了带伞！",
    "비가 그치면 강가로 산책하러 가자. 커피는 ₩4,500이야.",
    "ხვალ ზღვაზე წავალთ, თუ იწვიმებს — არა.",
    "ነገ ጠዋት ወደ ገበያ እንሄዳለን።",
    "👩🏽‍🚀 met 🏳️‍🌈 and 👨‍👩‍👧‍👦 — 🇮🇳!! :-) <3 #tag @you",
    "<|en|> is no token here, nor is <|endoftext|> or <|1.08|>.",
    "e\u0301 is é, and a\u0308\u0323 has two marks; ﬁ, Å and ² are folded by some.",
    "tabs\there,\r\nline\u2028ends, nbsp\u00a0and zero\u200bwidth\ufeff  \n\n  ",
    "♪♪ la-la-la ♫ [applause] (laughs) {x} ~~ -- --- >> << \\ / _ ` ^",
    "3.14159 1,000,000 0x1F ٤٥٦ ७८९ Ⅻ ① 10⁻³ 50% ±2°C",
)
BETWEEN = (" ", " ", " ", " ", ", ", ". ", "? ", " - ", "… ", "'s ", "\n", "  ", " (", ") ", "“", "” ")
RARITIES = ("12", " 3.5", "😀", "👍🏽", "\u0301", "\u200d", "'ll", "—", "٣", "¼", "\t", " OK", "\ufffd", "€5")


def thousand_lines() -> list[str]:
    """Return the sentences, then lines of random words in one script after another."""
    return list(itertools.islice(itertools.chain(SENTENCES, made_up_lines()), 1000))


def made_up_lines() -> Iterator[str]:
    """Yield lines of random words without end, in one script after another."""
    random = np.random.default_rng(0)
    letters = {name: letters_of(*block) for name, block in SCRIPTS.items()}
    while True:
        for name, letters_here in letters.items():
            yield made_up_line(random, letters_here, spaced=name not in WITHOUT_SPACES)


def letters_of(first: int, last: int) -> list[str]:
    """Return the letters, marks and numbers among the code points from `first` to `last`."""
    return [chr(code) for code in range(first, last + 1) if unicodedata.category(chr(code))[0] in "LMN"]


def made_up_line(random: np.random.Generator, letters: list[str], spaced: bool) -> str:
    """Return a line of up to nine random words; `spaced`: with spaces or punctuation between them."""
    line = " " if random.random() < 0.3 else ""
    for _ in range(random.integers(1, 10)):
        line += "".join(random.choice(letters, random.integers(1, 9)))
        if random.random() < 0.2:
            line += str(random.choice(RARITIES))
        line += str(random.choice(BETWEEN)) if spaced or random.random() < 0.2 else ""
    return line
