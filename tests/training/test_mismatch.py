"""Clips whose text is not that of their recording."""

from mlx_whisper_lora.data.clip import Clip
from mlx_whisper_lora.training.mismatch import Fit, measure_fits


def fits(texts: list[str], heard: list[str], language: str = "en") -> list[Fit]:
    return measure_fits([Clip(f"{i}.wav", text, language) for i, text in enumerate(texts)], heard)


def test_a_clip_is_suspicious_if_the_text_of_another_fits_better():
    texts = ["good morning", "see you soon", "how are you", "thank you all"]
    heard = ["good morning, and", "how are you", "see you soon", "thank you"]  # two are swapped
    found = fits(texts, heard)
    assert [fit.suspicion > 0 for fit in found] == [False, True, True, False]
    assert [found[i].other.audio for i in (1, 2)] == ["2.wav", "1.wav"]


def test_a_text_that_is_heard_in_another_script_is_not_suspicious():
    texts = ["നമസ്കാരം", "ഓണം വരാനൊരു മൂലം", "പോയി നോക്കൂ"]
    heard = ["நமஸ்காரம்", "போய் நோக்கு", "ஒனம் வராலொரு முலம்"]  # the last two are swapped
    first, second, third = fits(texts, heard, "ml")
    assert first.suspicion < -0.3 and min(second.suspicion, third.suspicion) > 0.3


def test_a_fit_is_the_share_of_sounds_to_change():
    (fit, _) = fits(["nama", "suru"], ["namu", "suru"], "ml")
    assert (fit.own, fit.nearest, fit.suspicion, fit.repeats) == (1 / 4, 3 / 4, -1 / 2, False)


def test_numbers_case_punctuation_and_equal_texts_do_not_count():
    """Clips with the same text are not compared with one another."""
    assert fits(["Three.", "three"], ["3", "three"]) == [Fit(0.0, 1.0, None, False)] * 2


def test_a_transcript_that_repeats_itself_counts_once():
    plain, loop, _ = fits(["nama suru", "nama suru", "kala"], ["kali", "kali" * 20, "kala"], "ml")
    assert loop == plain._replace(repeats=True)


def test_a_fit_is_described():
    assert Fit(0.704, 0.6, Clip("2.wav", "x"), False).describe() == (
        "the text differs from what is heard by 70 %; that of 2.wav differs by 60 %"
    )
