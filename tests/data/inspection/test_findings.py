"""The clips that a person should look at."""

import pytest

from mlx_whisper_lora.data.clip import Clip
from mlx_whisper_lora.data.inspection.findings import Finding, InspectedClip, find_all
from mlx_whisper_lora.data.inspection.recordings import Measurement

GOOD = Measurement(seconds=2.0, rate=16000, level=-20.0, clipped=0.0)


def inspected(
    text: str, audio: bytes = b"", split: str = "train", speaker: str | None = None, n_tokens: int = 5, **measures
) -> InspectedClip:
    clip = Clip(audio or text.encode(), text, "en", speaker=speaker)
    return InspectedClip(clip, split, GOOD._replace(**measures), "LATIN", n_tokens)


@pytest.mark.parametrize(
    ("clip", "kind", "detail"),
    [
        (inspected("one", seconds=31.24), "long", "31.2 s"),
        (inspected("one", n_tokens=225), "tokens", "225 tokens; at most 224"),
        (inspected("one", level=-61.2), "silent", "-61 dB"),
        (inspected("one", clipped=0.02), "clipped", "2.0 % of the samples are at full scale"),
        (inspected("one\u200b"), "hidden", "1 x ZERO WIDTH SPACE"),
        (inspected("", b"a", level=-61.2), "empty", "2.0 s, -61 dB"),
    ],
)
def test_a_clip_is_found_by_its_measures(clip, kind, detail):
    assert find_all([inspected("fine"), clip]) == [Finding(kind, detail, clip.clip, "train")]


def test_clips_of_ordinary_measures_are_not_found():
    assert find_all([inspected("word " * i, seconds=i / 2) for i in range(1, 60)]) == []


def test_a_text_in_another_script_is_found():
    clip = Clip(b"a", "привет", "en")
    assert find_all([InspectedClip(clip, "train", GOOD, "CYRILLIC", 5)]) == [
        Finding("script", "Cyrillic; en has Latin", clip, "train")
    ]


def test_the_same_audio_is_found_with_the_text_of_the_other():
    found = find_all([inspected("one", b"a"), inspected("two", b"a", "test")])
    assert [(each.kind, each.detail) for each in found] == [
        ("duplicate", "same as <bytes> (train), which has another text: one")
    ]


def test_texts_and_speakers_of_an_earlier_split_are_found():
    """The same text within a split is not found: digits are said many times."""
    clips = [
        inspected("One.", b"1", speaker="A"),
        inspected("one", b"2", speaker="B"),
        inspected("one", b"3", "test", speaker="C"),
        inspected("two", b"4", "test", speaker="B"),
    ]
    assert [(each.kind, each.clip.audio, each.detail) for each in find_all(clips)] == [
        ("text", b"3", "as <bytes> (train)"),
        ("speaker", b"4", "as <bytes> (train)"),
    ]


def test_too_many_characters_a_second_are_found_the_worst_first():
    usual = [inspected("x" * (18 + i % 5), bytes([i])) for i in range(40)]
    found = find_all([*usual, inspected("y" * 60), inspected("z" * 90)])
    assert [(each.kind, each.detail) for each in found] == [
        ("rate", "45.0 characters a second; the median is 10.0"),
        ("rate", "30.0 characters a second; the median is 10.0"),
    ]


def test_a_sample_rate_that_most_clips_do_not_have_is_found():
    found = find_all([inspected("one"), inspected("two"), inspected("three", rate=8000)])
    assert [(each.clip.text, each.detail) for each in found] == [("three", "8000 Hz; most have 16000 Hz")]
