"""Detecting hallucinated text in silence from the timings of its words, as openai-whisper does."""

from mlx_whisper_lora.whisper.transcription.options import APPEND_PUNCTUATIONS, PREPEND_PUNCTUATIONS
from mlx_whisper_lora.whisper.transcription.segments import Segment, Word

_PUNCTUATION = PREPEND_PUNCTUATIONS + APPEND_PUNCTUATIONS
_IMPROBABLE = 0.15
_SHORT, _LONG = 0.133, 2.0  # seconds; few words are shorter or longer
_EDGE = 2.0  # seconds; a segment this close to the start or end of its window counts as next to silence


def _anomaly(word: Word) -> float:
    """Score how unusual a word is: improbable, too short or too long."""
    improbable = 1.0 if word.probability < _IMPROBABLE else 0.0
    return improbable + 15 * max(_SHORT - word.duration, 0) + max(word.duration - _LONG, 0)


def _is_anomalous(segment: Segment | None) -> bool:
    """Return whether the first eight words of a segment are all unusual, or unusual enough together."""
    if segment is None or not segment.words:
        return False
    words = [word for word in segment.words if word.word not in _PUNCTUATION][:8]
    score = sum(_anomaly(word) for word in words)
    return score >= 3 or score + 0.01 >= len(words)


def _first_with_words(segments: list[Segment]) -> Segment | None:
    return next((segment for segment in segments if segment.words), None)


def leading_silence(segments: list[Segment], start: float) -> float:
    """Return the seconds from the window's `start` to its first words if these look hallucinated, else 0."""
    first = _first_with_words(segments)
    return first.start - start if first is not None and _is_anomalous(first) else 0.0


def first_hallucination(
    segments: list[Segment], start: float, audio_end: float, end: float, last_speech: float, threshold: float
) -> int | None:
    """Find the first segment that looks hallucinated and has silence, or more hallucinations, on both sides.

    Args:
        segments: the segments of a window, with words.
        start: start of the window. All times are in seconds of the recording.
        audio_end: end of the audio in the window.
        end: end of the window.
        last_speech: when the speech before the window ended.
        threshold: a pause of more seconds is silence.

    Returns:
        The index of the segment.
    """
    for i, segment in enumerate(segments):
        if not segment.words:
            continue
        if _is_anomalous(segment):
            following = _first_with_words(segments[i + 1 :])
            next_start = following.words[0].start if following is not None and following.words else audio_end
            after_silence = (
                segment.start - last_speech > threshold or segment.start < threshold or segment.start - start < _EDGE
            )
            before_silence = (
                next_start - segment.end > threshold or _is_anomalous(following) or end - segment.end < _EDGE
            )
            if after_silence and before_silence:
                return i
        last_speech = segment.end
    return None
