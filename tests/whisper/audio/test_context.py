"""How much the encoder sees of a window."""

import pytest

from mlx_whisper_lora.whisper.audio.context import AUTO, check_context, context_frames, parse_context
from mlx_whisper_lora.whisper.option import OptionError


@pytest.mark.parametrize(
    ("n_frames", "context", "expected"),
    [
        (0, AUTO, 50),
        (25, AUTO, 50),
        (26, AUTO, 100),
        (480, AUTO, 550),
        (3000, AUTO, 3000),
        (480, 30.0, 3000),
        (480, 7.51, 752),
    ],
)
def test_a_window_has_a_quarter_second_of_silence_and_a_length_of_half_seconds(n_frames, context, expected):
    assert context_frames(n_frames, context) == expected


@pytest.mark.parametrize(("text", "context"), [("auto", AUTO), ("30", 30.0), ("7.5", 7.5)])
def test_a_context_is_auto_or_seconds(text, context):
    assert parse_context(text) == context
    check_context(context)


@pytest.mark.parametrize("text", ["automatic", "0.4", "31", "nan", "-1"])
def test_other_contexts_are_refused(text):
    with pytest.raises(ValueError, match="expected auto"):
        parse_context(text)


@pytest.mark.parametrize("seconds", [0.4, 31.0, -1.0, float("nan")])
def test_other_numbers_are_refused(seconds):
    with pytest.raises(OptionError, match=r"audio_context must be 0, or from 0\.5 to 30 seconds, got"):
        check_context(seconds)
