"""Segments of a transcript, and how they are made of the tokens of a window."""

from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import NamedTuple

from mlx_whisper_lora.whisper.audio.constants import FRAMES_PER_POSITION, FRAMES_PER_SECOND, SECONDS_PER_POSITION
from mlx_whisper_lora.whisper.decoding.decode import DecodingResult
from mlx_whisper_lora.whisper.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class Window:
    """A stretch of a recording that is decoded at once."""

    seek: int  # its first frame
    n_frames: int

    @property
    def stop(self) -> int:
        """Return the frame after the last."""
        return self.seek + self.n_frames

    @property
    def start(self) -> float:
        """Return the start in seconds."""
        return self.seek / FRAMES_PER_SECOND


@dataclass(frozen=True)
class Word:
    """A word of a transcript."""

    word: str  # with the space before it and its punctuation
    start: float  # seconds from the start of the recording
    end: float
    probability: float  # mean of its tokens

    @property
    def duration(self) -> float:
        return self.end - self.start


@dataclass(frozen=True)
class Segment:
    """A stretch of a transcript with start and end."""

    seek: int  # first frame of its window
    start: float  # seconds from the start of the recording
    end: float
    text: str
    tokens: list[int]
    temperature: float  # of its window, as the following numbers
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float
    words: list[Word] | None = None  # None if words are not timed

    def to_dict(self) -> dict:
        """Return the segment as in openai-whisper's result, without its "id"."""
        segment = asdict(self)
        if self.words is None:
            del segment["words"]
        return segment


class Span(NamedTuple):
    """The tokens of one segment, with start and end in seconds from the start of the window."""

    start: float
    end: float
    tokens: list[int]


def cut_at_timestamps(tokens: list[int], tokenizer: Tokenizer, n_frames: int) -> tuple[list[Span], int]:
    """Cut the tokens of a window into spans, at each pair of timestamps.

    Text after the last pair is cut off in mid-speech. It is left to the next window, which starts at that timestamp.

    Args:
        tokens: the transcript of the window, with timestamps.
        tokenizer: the tokenizer of the tokens.
        n_frames: length of the window.

    Returns:
        The spans, and the number of frames that they cover: the next window starts there.
    """
    times = [token - tokenizer.timestamp_begin for token in tokens]  # negative for text
    cuts = [i for i in range(1, len(times)) if times[i - 1] >= 0 and times[i] >= 0]
    speech_ended = ends_in_silence(tokens, tokenizer)

    if not cuts:
        last = next((time for time in reversed(times) if time >= 0), 0)
        end = last * SECONDS_PER_POSITION if last > 0 else n_frames / FRAMES_PER_SECOND
        return [Span(0.0, end, tokens)], n_frames

    if speech_ended:
        cuts.append(len(tokens))
    spans = []
    for first, stop in pairwise([0, *cuts]):
        start, end = (max(time, 0) * SECONDS_PER_POSITION for time in (times[first], times[stop - 1]))
        spans.append(Span(start, end, tokens[first:stop]))
    n_done = n_frames if speech_ended else times[cuts[-1] - 1] * FRAMES_PER_POSITION
    return spans, n_done or n_frames  # never stand still


def ends_in_silence(tokens: list[int], tokenizer: Tokenizer) -> bool:
    """Return whether one timestamp, not a pair, ends the tokens of a window: no speech follows it."""
    return len(tokens) > 1 and tokens[-2] < tokenizer.timestamp_begin <= tokens[-1]


def window_segments(spans: list[Span], result: DecodingResult, window: Window, tokenizer: Tokenizer) -> list[Segment]:
    """Return the segments for the spans of a window."""
    return [
        Segment(
            seek=window.seek,
            start=window.start + start,
            end=window.start + end,
            text=tokenizer.decode([token for token in tokens if token < tokenizer.eot]),
            tokens=tokens,
            temperature=result.temperature,
            avg_logprob=result.avg_logprob,
            compression_ratio=result.compression_ratio,
            no_speech_prob=result.no_speech_prob,
        )
        for start, end, tokens in spans
    ]


def clear_empty_segments(segments: list[Segment]) -> list[Segment]:
    """Remove text, tokens and words from segments without duration or text."""
    return [
        replace(segment, text="", tokens=[], words=None if segment.words is None else [])
        if segment.start == segment.end or not segment.text.strip()
        else segment
        for segment in segments
    ]


def speech_end(segments: list[Segment]) -> float:
    """Return when the last word ends, or the last segment if there are no words."""
    ends = (word.end for segment in reversed(segments) for word in reversed(segment.words or []))
    return next(ends, segments[-1].end)
