"""Timing words: the decoder's own attention aligns the text with the audio.

While the decoder generates a word, some cross-attention heads attend to the moment at which it is spoken. Their weights
are a picture of tokens by time, and dynamic time warping finds the path through it (Radford et al., 2022, section 2,
and openai-whisper; Giorgino, "Computing and Visualizing Dynamic Time Warping Alignments in R", 2009). Shapes: H heads,
T tokens, P encoder positions of 20 ms.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain, pairwise
from typing import NamedTuple

import mlx.core as mx
import numpy as np
import scipy.ndimage

from mlx_whisper_lora.whisper.audio.constants import FRAMES_PER_POSITION, FRAMES_PER_SECOND
from mlx_whisper_lora.whisper.model.alignment_heads import alignment_heads
from mlx_whisper_lora.whisper.model.ops import log_sum_exp
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.text.tokenizer import Tokenizer
from mlx_whisper_lora.whisper.transcription.segments import Segment, Word

_SENTENCE_ENDS = ".。!！?？"
_POSITIONS_PER_SECOND = FRAMES_PER_SECOND // FRAMES_PER_POSITION
MEDIAN_FILTER_WIDTH = 7
_LONGEST_TYPICAL_DURATION = 0.7  # seconds
_RIGHT, _BOTH, _DOWN = range(3)  # steps of a path


@dataclass(frozen=True)
class WordTiming:
    """A word of a window, with its tokens."""

    word: str
    tokens: list[int]
    start: float  # seconds from the start of the window
    end: float
    probability: float  # mean of the tokens

    @property
    def duration(self) -> float:
        return self.end - self.start


class Punctuation(NamedTuple):
    """Punctuation that is joined to words."""

    prepended: str  # to the word after it
    appended: str  # to the word before it


class Attention(NamedTuple):
    """How the aligning heads attend to the audio while the decoder reads a text."""

    weights: np.ndarray  # (H, T, P), for start tokens, text and end of text
    probabilities: np.ndarray  # of each text token among text tokens


def find_alignment(
    model: Whisper, tokenizer: Tokenizer, text_tokens: list[int], features: mx.array, n_frames: int
) -> list[WordTiming]:
    """Find when each word of a text is spoken in a window.

    Args:
        model: the model.
        tokenizer: the tokenizer of the text.
        text_tokens: the text, without timestamps.
        features: the encoder's output for the window, shape (P, D).
        n_frames: the number of mel frames that contain audio.

    Returns:
        The words in order, with their times.
    """
    start = [*tokenizer.sot_sequence, tokenizer.no_timestamps]
    text_tokens = text_tokens[: model.dims.n_text_ctx - len(start) - 1]  # longer text is a loop of repeated phrases
    words, word_tokens = tokenizer.split_to_word_tokens([*text_tokens, tokenizer.eot])
    if len(words) < 2:
        return []
    weights, probabilities = attention_to_text(model, tokenizer, start, text_tokens, features, n_frames)
    rows, columns = dynamic_time_warping(-normalize_attention(weights)[len(start) - 1 : -1])
    jump_times = columns[np.diff(rows, prepend=-1) > 0] / _POSITIONS_PER_SECOND  # when the path reaches each token
    bounds = np.cumsum([0, *map(len, word_tokens[:-1])])
    return [
        WordTiming(
            word, tokens, float(jump_times[first]), float(jump_times[stop]), float(probabilities[first:stop].mean())
        )
        for word, tokens, first, stop in zip(words, word_tokens, bounds, bounds[1:], strict=False)
    ]


def attention_to_text(
    model: Whisper, tokenizer: Tokenizer, start: list[int], text_tokens: list[int], features: mx.array, n_frames: int
) -> Attention:
    """Return how the aligning heads attend to a window while the decoder reads a text.

    Args:
        model: the model.
        tokenizer: the tokenizer of the text.
        start: the tokens before the text.
        text_tokens: the text, without timestamps.
        features: the encoder's output for the window, shape (P, D).
        n_frames: the number of mel frames that contain audio. Attention to others does not count.
    """
    tokens = mx.array([[*start, *text_tokens, tokenizer.eot]])
    hidden, scores = model.decoder.hidden(tokens, features[None], need_weights=True)
    n_positions = max(n_frames // FRAMES_PER_POSITION, 1)
    aligning = [score[0, head] for layer, head in alignment_heads(model) if (score := scores[layer]) is not None]
    weights = mx.softmax(mx.stack(aligning)[:, :, :n_positions].astype(mx.float32), axis=-1)

    before_text = hidden[0, len(start) - 1 : len(start) - 1 + len(text_tokens)]
    logits = model.decoder.logits(before_text).astype(mx.float32)[:, : tokenizer.eot]
    chosen = mx.take_along_axis(logits, mx.array(text_tokens)[:, None], axis=-1)
    probabilities = mx.exp(chosen - log_sum_exp(logits))[:, 0]
    mx.eval(weights, probabilities)
    return Attention(np.array(weights), np.array(probabilities).astype(np.float64))


def normalize_attention(weights: np.ndarray) -> np.ndarray:
    """Normalize the weights (H, T, P) over the tokens, smooth them over time, and average the heads to (T, P)."""
    mean = weights.mean(axis=1, keepdims=True, dtype=np.float64)
    deviation = weights.std(axis=1, keepdims=True, dtype=np.float64)
    weights = ((weights - mean) / np.maximum(deviation, np.finfo(np.float32).tiny)).astype(np.float32)
    return median_filter(weights, MEDIAN_FILTER_WIDTH).mean(axis=0)


def median_filter(values: np.ndarray, width: int) -> np.ndarray:
    """Replace each value by the median of `width` values around it in the last axis, mirrored at its ends.

    An axis that is too short to be mirrored is returned unchanged.
    """
    if values.shape[-1] <= width // 2:
        return values
    return scipy.ndimage.median_filter(values, size=(1,) * (values.ndim - 1) + (width,), mode="mirror")


def dynamic_time_warping(costs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the cheapest path through `costs` (N, M) from the first cell to the last.

    A step goes down, right or both at once. It costs the value of the cell that it reaches (Giorgino's symmetric1).

    Returns:
        The rows and the columns of the cells on the path.
    """
    n_rows, n_columns = costs.shape
    # Store diagonals as rows: cell (i, j) moves to [i + j, i], and depends on the two rows before only.
    skewed = np.full((n_rows + n_columns - 1, n_rows), np.inf, np.float32)
    row, column = np.indices(costs.shape)
    skewed[row + column, row] = costs
    moves = np.empty(skewed.shape, np.int8)
    # Totals of the diagonal before and of the one before that. Index 0 lies outside, above the first row.
    before = np.full(n_rows + 1, np.inf, np.float32)
    earlier = before.copy()
    earlier[0] = 0
    for diagonal, cost in enumerate(skewed):
        sources = np.stack([before[1:], earlier[:-1], before[:-1]])  # in the order of _RIGHT, _BOTH, _DOWN
        moves[diagonal] = sources.argmin(axis=0)
        totals = np.full(n_rows + 1, np.inf, np.float32)
        totals[1:] = cost + sources.min(axis=0)
        earlier, before = before, totals

    path = [(n_rows - 1, n_columns - 1)]
    while path[-1] != (0, 0):
        i, j = path[-1]
        move = moves[i + j, i]
        path.append((i - (move != _RIGHT), j - (move != _DOWN)))
    rows, columns = np.array(path[::-1]).T
    return rows, columns


def add_word_timestamps(
    segments: list[Segment],
    *,
    model: Whisper,
    tokenizer: Tokenizer,
    features: mx.array,
    n_frames: int,
    last_speech: float,
    punctuation: Punctuation,
) -> list[Segment]:
    """Add words to the segments of a window, and align the start and end of segments with their words.

    Args:
        segments: all segments of the window.
        model: the model.
        tokenizer: the tokenizer of the segments.
        features: the encoder's output for the window, shape (P, D).
        n_frames: the number of mel frames that contain audio.
        last_speech: when the speech before the window ended, in seconds of the recording.
        punctuation: what to join to words.

    Returns:
        New segments.
    """
    text_tokens = [[token for token in segment.tokens if token < tokenizer.eot] for segment in segments]
    alignment = find_alignment(model, tokenizer, list(chain.from_iterable(text_tokens)), features, n_frames)
    durations = [word.duration for word in alignment if word.duration > 0]
    typical = min(_LONGEST_TYPICAL_DURATION, float(np.median(durations))) if durations else 0.0
    alignment = _shorten_at_sentence_ends(alignment, 2 * typical)
    alignment = merge_punctuations(alignment, *punctuation)

    offset = segments[0].seek / FRAMES_PER_SECOND
    timings = iter(alignment)
    timed = []
    for segment, tokens in zip(segments, text_tokens, strict=True):
        words = [
            Word(timing.word, round(offset + timing.start, 2), round(offset + timing.end, 2), timing.probability)
            for timing in _take_tokens(timings, len(tokens))
        ]
        if words:
            segment = _fit_to_words(segment, _shorten_after_pause(words, last_speech, typical), typical)
            last_speech = segment.end
        else:
            segment = replace(segment, words=[])
        timed.append(segment)
    return timed


def _take_tokens(timings: Iterator[WordTiming], n_tokens: int) -> Iterator[WordTiming]:
    """Take words until they have `n_tokens` tokens together."""
    while n_tokens > 0 and (timing := next(timings, None)) is not None:
        n_tokens -= len(timing.tokens)
        yield timing


# The functions below correct a common error of attention: it extends a word into the pause next to it.


def _shorten_at_sentence_ends(alignment: list[WordTiming], longest: float) -> list[WordTiming]:
    """Limit punctuation that ends a sentence, and the word after it, to `longest` seconds."""
    shortened = alignment[:1]
    for previous, word in pairwise(alignment):
        if word.duration > longest:
            if word.word in _SENTENCE_ENDS:
                word = replace(word, end=word.start + longest)
            elif previous.word in _SENTENCE_ENDS:
                word = replace(word, start=word.end - longest)
        shortened.append(word)
    return shortened


def merge_punctuations(alignment: list[WordTiming], prepended: str, appended: str) -> list[WordTiming]:
    """Join opening punctuation to the word after it, and closing punctuation to the word before it."""
    opened: list[WordTiming] = []  # last word first
    for word in reversed(alignment):
        if opened and word.word.startswith(" ") and word.word.strip() in prepended:
            after = opened[-1]
            opened[-1] = replace(after, word=word.word + after.word, tokens=word.tokens + after.tokens)
        else:
            opened.append(word)
    closed: list[WordTiming] = []
    for word in reversed(opened):
        if closed and not closed[-1].word.endswith(" ") and word.word in appended:
            before = closed[-1]
            closed[-1] = replace(before, word=before.word + word.word, tokens=before.tokens + word.tokens)
        else:
            closed.append(word)
    return closed


def _shorten_after_pause(words: list[Word], last_speech: float, typical: float) -> list[Word]:
    """Limit the first two words after a pause to twice the duration of a `typical` word."""
    first, longest = words[0], 2 * typical
    second = words[1] if len(words) > 1 else None
    after_pause = first.end - last_speech > 4 * typical
    too_long = first.duration > longest
    both_too_long = second is not None and second.end - first.start > 2 * longest
    if not (after_pause and (too_long or both_too_long)):
        return words
    end = first.end
    if second is not None and second.duration > longest:
        end = max(second.end / 2, second.end - longest)
        second = replace(second, start=end)
    first = replace(first, start=max(0, end - longest), end=end)
    return [first, *words[1:]] if second is None else [first, second, *words[2:]]


def _fit_to_words(segment: Segment, words: list[Word], typical: float) -> Segment:
    """Start and end a segment with its words.

    If the segment's own timestamps cut more than half a second off its first or last word, that word is shortened.
    """
    start, end, words = segment.start, segment.end, list(words)
    first = words[0]
    if start < first.end and start - 0.5 > first.start:
        words[0] = replace(first, start=max(0, min(first.end - typical, start)))
    else:
        start = first.start
    last = words[-1]
    if end > last.start and end + 0.5 < last.end:
        words[-1] = replace(last, end=max(last.start + typical, end))
    else:
        end = last.end
    return replace(segment, start=start, end=end, words=words)
