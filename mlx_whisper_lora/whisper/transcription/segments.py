"""From the tokens of a window to segments of the recording."""

from dataclasses import dataclass
from itertools import pairwise

from mlx_whisper_lora.whisper.audio.constants import FRAMES_PER_POSITION, FRAMES_PER_SECOND, SECONDS_PER_POSITION
from mlx_whisper_lora.whisper.decoding.decode import DecodingResult
from mlx_whisper_lora.whisper.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class Window:
    """`n_frames` frames of a recording, from frame `seek` on."""

    seek: int
    n_frames: int

    @property
    def stop(self) -> int:
        return self.seek + self.n_frames

    @property
    def start(self) -> float:
        """In seconds."""
        return self.seek / FRAMES_PER_SECOND


def cut_at_timestamps(
    tokens: list[int], tokenizer: Tokenizer, n_frames: int
) -> tuple[list[tuple[float, float, list[int]]], int]:
    """Cut a window's tokens where two timestamps meet.

    Returns (start, end, tokens) of each stretch, in seconds from the window's start, and how many of the window's
    `n_frames` frames are done with. Text after the last pair of timestamps is cut off in mid-speech: it is left to
    the next window, which starts at that timestamp.
    """
    times = [token - tokenizer.timestamp_begin for token in tokens]  # negative for text
    cuts = [i for i in range(1, len(times)) if times[i - 1] >= 0 and times[i] >= 0]
    speech_ended = ends_in_silence(tokens, tokenizer)

    if not cuts:
        last = next((time for time in reversed(times) if time >= 0), 0)
        end = last * SECONDS_PER_POSITION if last > 0 else n_frames / FRAMES_PER_SECOND
        return [(0.0, end, tokens)], n_frames

    if speech_ended:
        cuts.append(len(tokens))
    stretches = []
    for first, stop in pairwise([0, *cuts]):
        start, end = (max(time, 0) * SECONDS_PER_POSITION for time in (times[first], times[stop - 1]))
        stretches.append((start, end, tokens[first:stop]))
    done = n_frames if speech_ended else times[cuts[-1] - 1] * FRAMES_PER_POSITION
    return stretches, done or n_frames  # never stand still


def ends_in_silence(tokens: list[int], tokenizer: Tokenizer) -> bool:
    """Whether one timestamp, rather than a pair, closes a window's tokens: nobody speaks after it."""
    return len(tokens) > 1 and tokens[-2] < tokenizer.timestamp_begin <= tokens[-1]


def window_segments(
    stretches: list[tuple[float, float, list[int]]], result: DecodingResult, window: Window, tokenizer: Tokenizer
) -> list[dict]:
    """Segments, timed from the recording's start, for the stretches of a window."""
    return [
        {
            "seek": window.seek,
            "start": window.start + start,
            "end": window.start + end,
            "text": tokenizer.decode([token for token in tokens if token < tokenizer.eot]),
            "tokens": tokens,
            "temperature": result.temperature,
            "avg_logprob": result.avg_logprob,
            "compression_ratio": result.compression_ratio,
            "no_speech_prob": result.no_speech_prob,
        }
        for start, end, tokens in stretches
    ]


def clear_empty_segments(segments: list[dict]) -> None:
    """Take the text, tokens and words out of segments that last no time or say nothing."""
    for segment in segments:
        if segment["start"] == segment["end"] or not segment["text"].strip():
            emptied = {"text": "", "tokens": [], "words": []}
            segment.update({name: value for name, value in emptied.items() if name in segment})


def speech_end(segments: list[dict]) -> float:
    """When the last word ends, or the last segment where there is no word."""
    ends = (word["end"] for segment in reversed(segments) for word in reversed(segment["words"]))
    return next(ends, segments[-1]["end"])
