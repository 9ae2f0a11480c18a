"""Long recordings with known segments, and how well a transcript has their words and times."""

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

import jiwer
import numpy as np

from mlx_whisper_lora.data.clip import Clip
from mlx_whisper_lora.whisper.audio.constants import SAMPLE_RATE
from mlx_whisper_lora.whisper.audio.load import load_audio
from mlx_whisper_lora.whisper.text.normalizers import Normalizer

PAUSES = (0.3, 1.2)  # seconds between joined clips
NEAR = 0.3  # seconds that a right time may be off
RESAMPLES = 2000  # of the bootstrap
_LONGEST_LOOP = 20  # tokens


class Segment(NamedTuple):
    """What was said, and when, in seconds."""

    start: float
    end: float
    text: str


class LongRecording(NamedTuple):
    """A recording of several minutes."""

    samples: np.ndarray  # at 16 kHz
    segments: list[Segment]


def join_clips(clips: Sequence[Clip], seconds: float, seed: int = 0) -> list[LongRecording]:
    """Join clips with pauses, speaker by speaker, to recordings of up to `seconds`."""
    random = np.random.default_rng(seed)
    recordings: list[LongRecording] = []
    pieces: list[np.ndarray] = []
    segments: list[Segment] = []
    position = 0
    for _, group in groupby(sorted(clips, key=lambda clip: clip.speaker or ""), key=lambda clip: clip.speaker):
        for clip in group:
            samples = load_audio(clip.audio, start=clip.start, end=clip.end)
            if segments and position + len(samples) > seconds * SAMPLE_RATE:
                recordings.append(LongRecording(np.concatenate(pieces), segments))
                pieces, segments, position = [], [], 0
            end = position + len(samples)
            segments.append(Segment(position / SAMPLE_RATE, end / SAMPLE_RATE, clip.text))
            pause = np.zeros(round(random.uniform(*PAUSES) * SAMPLE_RATE), np.float32)
            pieces += [samples, pause]
            position = end + len(pause)
    return [*recordings, LongRecording(np.concatenate(pieces), segments)]


def word_errors(segments: Sequence[Segment], text: str, normalizer: Normalizer) -> list[tuple[int, int]]:
    """Return the word errors and the words of each segment, from the alignment of the whole text."""
    words = [normalizer(segment.text).split() for segment in segments]
    owners = [i for i, of_segment in enumerate(words) for _ in of_segment]
    errors = [0] * len(segments)
    alignment = jiwer.process_words(" ".join(" ".join(each) for each in words), normalizer(text)).alignments[0]
    for chunk in alignment:
        if chunk.type == "insert":
            errors[owners[min(chunk.ref_start_idx, len(owners) - 1)]] += chunk.hyp_end_idx - chunk.hyp_start_idx
        elif chunk.type != "equal":
            for i in range(chunk.ref_start_idx, chunk.ref_end_idx):
                errors[owners[i]] += 1
    return [(count, len(of_segment)) for count, of_segment in zip(errors, words, strict=True)]


def right_times(segments: Sequence[Segment], found: Sequence[dict]) -> list[tuple[int, int]]:
    """Return 1 and 1 for each segment that one of those found has the start and the end of, and 0 and 1 for others."""
    return [
        (
            int(
                any(
                    abs(each["start"] - segment.start) <= NEAR and abs(each["end"] - segment.end) <= NEAR
                    for each in found
                )
            ),
            1,
        )
        for segment in segments
    ]


def looped_tokens(found: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    """Return the tokens that repeat what precedes them for the second time or more, and all, of each segment found."""
    tokens = np.array([token for segment in found for token in segment], np.int64)
    looped = np.zeros(len(tokens), bool)
    for period in range(1, _LONGEST_LOOP + 1):
        same = tokens[period:] == tokens[:-period]
        first = 0
        for equal, run in groupby(same.tolist()):
            length = len(list(run))
            if equal and length >= 2 * period:
                looped[first + period : first + period + length] = True
            first += length
    ends = np.cumsum([len(segment) for segment in found]).tolist()
    return [(int(looped[end - len(each) : end].sum()), len(each)) for end, each in zip(ends, found, strict=True)]


def share(counts: Sequence[tuple[int, int]]) -> dict:
    """Return the sum of the first numbers in per cent of the second ones, with its 95 % interval by a bootstrap."""
    parts, wholes = (np.array(numbers) for numbers in zip(*(counts or [(0, 0)]), strict=True))
    draws = np.random.default_rng(0).integers(0, len(parts), (RESAMPLES, len(parts)))
    drawn = 100 * parts[draws].sum(axis=1) / np.maximum(wholes[draws].sum(axis=1), 1)
    value = 100 * parts.sum() / max(wholes.sum(), 1)
    return {"value": round(float(value), 2), "interval": np.percentile(drawn, [2.5, 97.5]).round(2).tolist()}
