"""Texts reduced to how they sound."""

import pytest

from mlx_whisper_lora.data.inspection.sounds import sounds


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("Déjà-vu", "TISAVU"),
        ("καλημέρα", "KALIMIRA"),  # kalimera
        ("안녕하세요", "ANYIUNKASIYU"),  # annyeong haseyo
        ("გამარჯობა", "KAMARSUPA"),  # gamarjoba
        ("नमस्ते", "NAMASTI"),  # namaste
        ("നമസ്കാരം", "NAMASKARAM"),  # namaskaram
        ("さくら", "SAKURA"),  # sakura
        ("привет", "PRIVIT"),  # privet
        ("سلام", "SLAM"),  # salam
        ("สวัสดี", "SVSTI"),  # sawasdi
        ("מגן", "MKN"),  # magen
        ("ሰላም", "SALAMI"),  # selam
        ("你好", "你好"),
        ("३ 4", "34"),
        ("...", ""),
    ],
)
def test_a_word_sounds_as_in_other_scripts(text, key):
    assert sounds(text) == key


def test_letters_of_one_class_are_the_same_sound():
    assert sounds("Gobi, bada") == sounds("kopi PATA") == "KUPIPATA"


def test_a_transcript_of_malayalam_in_tamil_sounds_alike():
    """The reference of a recording, and what whisper-base hears in it."""
    assert sounds("ആരെങ്കിലും അവിടെ വരെയൊന്ന് പോയി") == "ARINKILUMAVITIVARIYUNPUYI"
    assert sounds("ஆர் இங்கில் அவட வரையும் போய்") == "ARINKILAVATAVARAIYUMPUY"
