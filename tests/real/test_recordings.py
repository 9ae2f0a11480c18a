"""Real recordings: whisper-base gives openai-whisper's transcripts, which tools/references/make_real.py stored."""

import json
from pathlib import Path

import pytest

from mlx_whisper_lora.whisper.transcription.long_form import transcribe
from tools.real.recordings import recording, timed_transcript

REFERENCE = Path(__file__).parent / "reference"
SHORT = ("jfk", "jfk_beam", "english_minute", "french_minute")
LONG = sorted({path.stem for path in REFERENCE.glob("*.json")} - {*SHORT})
# Noise of float32 decides a tie. In `english_voices`, openai-whisper's log-probabilities of the timestamps 19.76 s and
# 19.80 s are -2.05725 and -2.05723, and the port's -2.057199 and -2.057201. No time of a word depends on them. Two
# paths of words through the audio, which differ by one position at 374.48 s, cost -8625.189104 and -8625.189106 there,
# and -8625.186818 and -8625.186816 here. At 718.72 s of `english_voices_beam`, the paths are 0.0001 in 10652.67 apart.
TIES = 1 / 500  # of the words
POSITION = 0.02 + 1e-9  # seconds


@pytest.mark.usefixtures("recordings")
@pytest.mark.parametrize("name", [*SHORT, *(pytest.param(name, marks=pytest.mark.slow) for name in LONG)])
def test_text_segments_and_word_times_are_openai_whispers(base, name):
    case = json.loads((REFERENCE / f"{name}.json").read_text(encoding="utf-8"))
    result = timed_transcript(transcribe(base, recording(case["file"], case["seconds"]), **case["options"]))
    expected = case["transcript"]
    assert result["text"] == expected["text"]
    begin = base.tokenizer("en").timestamp_begin
    assert outline(result, begin) == outline(expected, begin)
    assert_same_times(words_of(result), words_of(expected))


def outline(transcript: dict, timestamp_begin: int) -> list[tuple]:
    """Return start, end, text and text tokens of each segment. The times cover the timestamp tokens."""
    return [
        (
            segment["start"],
            segment["end"],
            segment["text"],
            [token for token in segment["tokens"] if token < timestamp_begin],
        )
        for segment in transcript["segments"]
    ]


def words_of(transcript: dict) -> list[tuple]:
    """Return text, start and end of each word."""
    return [tuple(word) for segment in transcript["segments"] for word in segment["words"]]


def assert_same_times(words: list[tuple], expected: list[tuple]) -> None:
    """Assert equal words and times, but for ties."""
    assert [word for word, _, _ in words] == [word for word, _, _ in expected]
    moved = [pair for pair in zip(words, expected, strict=True) if pair[0] != pair[1]]
    assert len(moved) <= TIES * len(words), moved
    for (_, *times), (_, *others) in moved:
        assert times == pytest.approx(others, rel=0, abs=POSITION)
