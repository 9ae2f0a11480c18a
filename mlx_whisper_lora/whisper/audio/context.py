"""The audio context: how much the encoder sees of a window.

Whisper was trained on windows of 30 s, and needs them. A model that was fine-tuned on shorter windows transcribes a
clip in a window of little more than its own length, which costs a fraction.
"""

from mlx_whisper_lora.whisper.audio.constants import CHUNK_LENGTH, FRAMES_PER_SECOND, N_FRAMES
from mlx_whisper_lora.whisper.option import OptionError

AUTO = 0.0  # as much as the window needs
_SHORTEST = 0.5  # seconds
_MARGIN = FRAMES_PER_SECOND // 4  # frames of silence after a window
_STEP = FRAMES_PER_SECOND // 2  # so that few shapes occur


def parse_context(text: str) -> float:
    """Read an audio context: "auto", or seconds.

    Raises:
        ValueError: the text is neither, or the seconds are out of range.
    """
    if text == "auto":
        return AUTO
    try:
        seconds = float(text)
    except ValueError:
        raise ValueError(f"expected auto, or seconds, got {text!r}") from None
    if not is_context(seconds):
        raise ValueError(f"expected auto, or {_SHORTEST} to {CHUNK_LENGTH} seconds, got {text}")
    return seconds


def is_context(seconds: float) -> bool:
    """Return whether a number is an audio context."""
    return seconds == AUTO or _SHORTEST <= seconds <= CHUNK_LENGTH


def to_context(given: float | str) -> float:
    """Return an audio context that is given as seconds, or as a text for `parse_context`.

    Raises:
        OptionError: it is not an audio context.
    """
    if isinstance(given, str):
        try:
            return parse_context(given)
        except ValueError as error:
            raise OptionError(f"`audio_context`: {error}") from None
    check_context(given)
    return given


def check_context(seconds: float) -> None:
    """Check the option `audio_context`.

    Raises:
        OptionError: the number is not an audio context.
    """
    if not is_context(seconds):
        raise OptionError(
            f"`audio_context` must be {AUTO:g}, or from {_SHORTEST} to {CHUNK_LENGTH} seconds, got {seconds:g}"
        )


def context_frames(n_frames: int, audio_context: float) -> int:
    """Return the mel frames that a window is padded to, an even number.

    Args:
        n_frames: of the window.
        audio_context: in seconds, or AUTO.
    """
    if audio_context != AUTO:
        return round(audio_context * FRAMES_PER_SECOND / 2) * 2
    return min(-(-(n_frames + _MARGIN) // _STEP) * _STEP, N_FRAMES)
