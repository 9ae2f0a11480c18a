"""Texts reduced to how they sound."""

import pytest

from mlx_whisper_lora.data.inspection.sounds import sounds


@pytest.mark.parametrize(
    ("text", "latin"),
    [
        ("привет Россия", "privet Rossiya"),
        ("سلام عليكم", "salam aleykum"),
        ("καλημέρα", "kalimera"),
        ("안녕하세요", "annyeong haseyo"),
        ("สวัสดี", "sawasdi"),
        ("ሰላም", "selam"),
        ("გამარჯობა", "gamarjoba"),
        ("नमस्ते", "namaste"),
        ("നമസ്കാരം", "namaskaram"),
        ("さくら", "sakura"),
        ("מגן דג", "magen dag"),
        ("Déjà-vu", "DEJAVU"),
    ],
)
def test_a_word_sounds_as_it_is_spelled_in_latin(text, latin):
    assert sounds(text) == sounds(latin) != ""


def test_letters_of_one_class_are_the_same_sound():
    assert sounds("gobi, bada") == sounds("kopi pata") == "KPT"


def test_ideographs_stand_for_themselves():
    assert sounds("你好") == "你好"


def test_a_transcript_of_malayalam_in_tamil_sounds_alike():
    """Both are whisper-base's, of one recording, and the reference."""
    assert sounds("ആരെങ്കിലും അവിടെ വരെയൊന്ന് പോയി") == "RNKLMVTVRYNPY"
    assert sounds("ஆர் இங்கில் அவட வரையும் போய்") == "RNKLVTVRYMPY"
