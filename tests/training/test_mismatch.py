"""Clips whose text is not that of their recording."""

import pytest

from mlx_whisper_lora.training.mismatch import Distances, text_distances

TEXTS = ["good morning", "how are you", "see you soon", "thank you all", "never mind"]


def suspects(texts: list[str], heard: list[str]) -> list[str]:
    """Return the texts, the most suspicious first."""
    distances = text_distances(texts, heard)
    return [texts[i] for i in sorted(range(len(texts)), key=lambda i: -distances[i].suspicion)]


def test_swapped_texts_come_first():
    heard = [f"{text}, and" for text in TEXTS]
    swapped = [TEXTS[0], TEXTS[2], TEXTS[1], *TEXTS[3:]]
    assert set(suspects(swapped, heard)[:2]) == {TEXTS[1], TEXTS[2]}


def test_a_text_that_is_heard_in_another_script_is_not_suspicious():
    texts = ["നമസ്കാരം", "ഓണം വരാനൊരു മൂലം", "പോയി നോക്കൂ"]
    heard = ["நமஸ்காரம்", "போய் நோக்கு", "ஒனம் வராலொரு முலம்"]  # the last two are swapped
    first, second, third = text_distances(texts, heard)
    assert first.suspicion < -0.5 and min(second.suspicion, third.suspicion) > 0


def test_distances_are_shares_of_the_characters():
    assert text_distances(["abcd", "wxyz"], ["abce", "wxyz"]) == [Distances(0.25, 1.0), Distances(0.0, 1.0)]


def test_case_punctuation_and_equal_texts_do_not_count():
    """Clips with the same text are not compared with one another. With one text alone, the distance to it counts."""
    assert text_distances(["One.", "one"], ["one", "two"]) == [Distances(0.0, 1.0), Distances(pytest.approx(1.0), 1.0)]


def test_a_distance_is_described():
    assert Distances(0.704, 0.72).describe() == (
        "70 % of the text is heard differently; of other texts of its length, 72 % on average"
    )
