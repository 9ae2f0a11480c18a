"""What is unusual about texts, and what cleaning changes in them."""

from mlx_whisper_lora.data.clip import Clip
from mlx_whisper_lora.data.text_report import clean_texts, report_texts


def splits(*texts: str, language: str | None = "en") -> dict[str, list[Clip]]:
    clips = [Clip(f"{i}.wav", text, language) for i, text in enumerate(texts)]
    return {"train": clips[:-1], "valid": [], "test": clips[-1:]}


def lines(found: dict[str, list[Clip]], cleans: bool = False) -> list[str]:
    return list(report_texts(found, lambda clip: clip.text_language, cleans).lines())


def test_usual_texts_take_no_line():
    assert lines(splits("one", "deux cafés", "", "three")) == []


def test_what_cannot_be_seen_is_always_counted():
    assert lines(splits("one", "cafe\u0301", "t\u200bw\u200bo\u200f", "\ufeffthree")) == [
        "Note: 3 of 4 texts hold what cannot be seen (2 x ZERO WIDTH SPACE, 1 x text not in Unicode's form NFC, "
        "1 x RIGHT-TO-LEFT MARK, 1 x ZERO WIDTH NO-BREAK SPACE), such as that of 1.wav; --normalize-text removes it"
    ]


def test_cleaning_is_shown_before_and_after():
    found = splits("one", "two  cafe\u0301s", "\ufeff", "x" * 90 + "\u200b y", "z ")
    assert lines(found, cleans=True) == [
        "--normalize-text changes 4 of 5 texts (1 x text not in Unicode's form NFC, 1 x ZERO WIDTH NO-BREAK SPACE, "
        "1 x ZERO WIDTH SPACE)",
        "  1.wav",
        "    before: two  caf" + r"e\u0301" + "s",
        "    after:  two cafés",
        "  2.wav",
        "    before: " + r"\ufeff",
        "    after:  ",
        "  3.wav",
        "    before: " + "x" * 20 + r"\u200b y",
        "    after:  " + "x" * 20 + " y",
        "Note: 1 texts are empty then, such as that of 2.wav; they count as silence",
    ]
    assert [clip.text for clips in clean_texts(found).values() for clip in clips] == [
        "one", "two cafés", "", "x" * 90 + " y", "z",
    ]  # fmt: skip


def test_texts_that_need_no_cleaning_are_left_as_they_are():
    found = splits("one", "two")
    assert lines(found, cleans=True) == ["--normalize-text changes 0 of 2 texts"]
    assert clean_texts(found) == found


def test_texts_in_another_script_than_that_of_their_language_are_counted_and_shown():
    texts = ("namaskaram", "നമസ്കാരം", "OK, ശരി തന്നെ", "sukhamano", "привет", "12", "vayyah")
    assert lines(splits(*texts, language="ml")) == [
        "Note: 4 of 7 texts are in another script than that of their language (most: Latin, but ml has Malayalam), "
        "such as 0.wav (namaskaram), 3.wav (sukhamano), 4.wav (привет)"
    ]
    assert lines(splits(*texts, language=None)) == []


def test_a_translation_is_in_the_script_of_english():
    clips = [Clip("1.wav", "hello", "ml", task="translate"), Clip("2.wav", "നമസ്കാരം", "ml", task="translate")]
    (line,) = lines({"train": clips})
    assert line.endswith("(most: Malayalam, but en has Latin), such as 2.wav (നമസ്കാരം)")
