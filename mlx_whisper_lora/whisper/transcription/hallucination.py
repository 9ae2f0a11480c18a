"""Text that the model makes up where nobody speaks, told by its words' times, as openai-whisper tells it."""

from mlx_whisper_lora.whisper.transcription.word_timing import APPEND_PUNCTUATIONS, PREPEND_PUNCTUATIONS

MARKS = PREPEND_PUNCTUATIONS + APPEND_PUNCTUATIONS
IMPROBABLE = 0.15
SHORT, LONG = 0.133, 2.0  # seconds that a word seldom falls below or exceeds
EDGE = 2.0  # seconds: nearer to the window's start or end than this counts as beside silence


def anomaly(word: dict) -> float:
    """How odd a word is: improbable, too short or too long."""
    duration = word["end"] - word["start"]
    improbable = 1.0 if word["probability"] < IMPROBABLE else 0.0
    return improbable + 15 * max(SHORT - duration, 0) + max(duration - LONG, 0)


def is_anomalous(segment: dict | None) -> bool:
    """Whether the first eight words of a segment are odd throughout, or odd enough together."""
    if segment is None:
        return False
    words = [word for word in segment["words"] if word["word"] not in MARKS][:8]
    score = sum(anomaly(word) for word in words)
    return bool(segment["words"]) and (score >= 3 or score + 0.01 >= len(words))


def first_with_words(segments: list[dict]) -> dict | None:
    return next((segment for segment in segments if segment["words"]), None)


def leading_silence(segments: list[dict], start: float) -> float:
    """Seconds from the window's `start` to its first words, if these look made up; else 0."""
    first = first_with_words(segments)
    return first["start"] - start if first is not None and is_anomalous(first) else 0.0


def first_hallucination(
    segments: list[dict], start: float, text_end: float, end: float, last_speech: float, threshold: float
) -> int | None:
    """The index of the first segment that looks made up and has silence, or more of its kind, on both sides.

    The window lasts from `start` to `end` and its sound to `text_end`; speech before it ended at `last_speech`; a
    pause is silence from `threshold` on. All in seconds of the recording.
    """
    for i, segment in enumerate(segments):
        if not segment["words"]:
            continue
        if is_anomalous(segment):
            following = first_with_words(segments[i + 1 :])
            next_start = following["words"][0]["start"] if following is not None else text_end
            after_silence = (
                segment["start"] - last_speech > threshold
                or segment["start"] < threshold
                or segment["start"] - start < EDGE
            )
            before_silence = (
                next_start - segment["end"] > threshold or is_anomalous(following) or end - segment["end"] < EDGE
            )
            if after_silence and before_silence:
                return i
        last_speech = segment["end"]
    return None
