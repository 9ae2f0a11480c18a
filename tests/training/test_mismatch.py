"""Clips whose text is not that of their recording."""

from mlx_whisper_lora.data.clip import Clip
from mlx_whisper_lora.training.mismatch import Fit, measure_fits


def fits(texts: list[str], heard: list[str], language: str = "en") -> list[Fit]:
    return measure_fits([Clip(b"", text, language) for text in texts], heard)


def test_a_text_that_fits_no_better_than_another_is_suspicious():
    texts = ["good morning", "see you soon", "how are you", "thank you all"]
    heard = ["good morning, and", "how are you", "see you soon", "thank you"]  # two are swapped
    first, second, third, fourth = fits(texts, heard)
    assert max(first.suspicion, fourth.suspicion) < 0 < min(second.suspicion, third.suspicion)


def test_a_text_that_is_heard_in_another_script_is_not_suspicious():
    texts = ["നമസ്കാരം", "ഓണം വരാനൊരു മൂലം", "പോയി നോക്കൂ"]
    heard = ["நமஸ்காரம்", "போய் நோக்கு", "ஒனம் வராலொரு முலம்"]  # the last two are swapped
    first, second, third = fits(texts, heard, "ml")
    assert first.suspicion < -0.3 and min(second.suspicion, third.suspicion) > 0.3


def test_a_fit_is_the_share_of_sounds_that_differ():
    """Three of the four sounds are in both: of the eight of both, two differ."""
    assert fits(["nama", "suru"], ["namu", "suru"], "ml") == [Fit(0.25, 0.75, False), Fit(0.0, 1.0, False)]


def test_numbers_case_punctuation_and_equal_texts_do_not_count():
    """Clips with the same text are not compared with one another."""
    assert fits(["Three.", "three"], ["3", "three"]) == [Fit(0.0, 1.0, False)] * 2


def test_a_transcript_that_repeats_itself_counts_once_and_says_little():
    (plain, loop, _) = fits(["nama suru", "nama suru", "kala"], ["kali", "kali" * 20, "kala"], "ml")
    assert (loop.own, loop.nearest) == (plain.own, plain.nearest)
    assert loop.repeats and not plain.repeats and loop.suspicion < plain.suspicion


def test_a_fit_is_described():
    assert Fit(0.704, 0.6, False).describe() == (
        "the text differs from what is heard by 70 %, the nearest of other texts by 60 %"
    )
