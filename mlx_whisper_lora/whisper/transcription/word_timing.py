"""When each word is said: the text aligned with the sound by the decoder's own attention.

Some cross-attention heads look, while the decoder writes a word, at where it is said. Their weights make a picture of
tokens by time, and dynamic time warping finds the path through it (Radford et al., 2022, section 2 and openai-whisper;
Giorgino, "Computing and Visualizing Dynamic Time Warping Alignments in R", 2009). Shapes: H heads, T tokens, P encoder
positions of 20 ms.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain, pairwise

import mlx.core as mx
import numpy as np
import scipy.ndimage

from mlx_whisper_lora.whisper.audio.constants import FRAMES_PER_POSITION, FRAMES_PER_SECOND
from mlx_whisper_lora.whisper.model.alignment_heads import alignment_heads
from mlx_whisper_lora.whisper.model.ops import log_sum_exp
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.text.tokenizer import Tokenizer

PREPEND_PUNCTUATIONS = "\"'“¿([{-"
APPEND_PUNCTUATIONS = "\"'.。,，!！?？:：”)]}、"
SENTENCE_ENDS = ".。!！?？"
POSITIONS_PER_SECOND = FRAMES_PER_SECOND // FRAMES_PER_POSITION
MEDIAN_FILTER_WIDTH = 7
LONGEST_TYPICAL_DURATION = 0.7  # seconds
RIGHT, BOTH, DOWN = range(3)  # the steps of a path


@dataclass(frozen=True)
class WordTiming:
    """A word and its tokens, start and end in seconds from the window's start, and its tokens' mean probability."""

    word: str
    tokens: list[int]
    start: float
    end: float
    probability: float

    @property
    def duration(self) -> float:
        return self.end - self.start


def find_alignment(
    model: Whisper, tokenizer: Tokenizer, text_tokens: list[int], features: mx.array, n_frames: int
) -> list[WordTiming]:
    """The words of `text_tokens`, which hold no timestamps, in the sound of an encoded window.

    features: the encoder's output, shape (P, D), of which the first `n_frames` mel frames are sound.
    """
    start = [*tokenizer.sot_sequence, tokenizer.no_timestamps]
    text_tokens = text_tokens[: model.dims.n_text_ctx - len(start) - 1]  # longer text is a loop of phrases
    words, word_tokens = tokenizer.split_to_word_tokens([*text_tokens, tokenizer.eot])
    if len(words) < 2:
        return []
    weights, probabilities = attention_to_text(model, tokenizer, start, text_tokens, features, n_frames)
    rows, columns = dynamic_time_warping(-normalize_attention(weights)[len(start) - 1 : -1])
    jump_times = columns[np.diff(rows, prepend=-1) > 0] / POSITIONS_PER_SECOND  # when the path comes to each token
    bounds = np.cumsum([0, *map(len, word_tokens[:-1])])
    return [
        WordTiming(
            word, tokens, float(jump_times[first]), float(jump_times[stop]), float(probabilities[first:stop].mean())
        )
        for word, tokens, first, stop in zip(words, word_tokens, bounds, bounds[1:], strict=False)
    ]


def attention_to_text(
    model: Whisper, tokenizer: Tokenizer, start: list[int], text_tokens: list[int], features: mx.array, n_frames: int
) -> tuple[np.ndarray, np.ndarray]:
    """Weights (H, T, P') of the aligning heads over the P' positions that hold sound, for `start`, text and its end;
    and each text token's probability among text tokens."""
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
    return np.array(weights), np.array(probabilities).astype(np.float64)


def normalize_attention(weights: np.ndarray) -> np.ndarray:
    """One picture (T, P) of the heads' weights (H, T, P): what each position gets more of than from other tokens."""
    mean = weights.mean(axis=1, keepdims=True, dtype=np.float64)
    deviation = weights.std(axis=1, keepdims=True, dtype=np.float64)
    weights = ((weights - mean) / np.maximum(deviation, np.finfo(np.float32).tiny)).astype(np.float32)
    if weights.shape[-1] > MEDIAN_FILTER_WIDTH // 2:
        weights = scipy.ndimage.median_filter(weights, size=(1, 1, MEDIAN_FILTER_WIDTH), mode="mirror")
    return weights.mean(axis=0)


def dynamic_time_warping(costs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The cheapest path through `costs` (N, M) from the first cell to the last: the row and the column of each step.

    A step goes down, right or both at once, each at the cost of the cell it comes to (Giorgino's symmetric1).
    """
    n_rows, n_columns = costs.shape
    # Diagonals as rows: cell (i, j) moves to [i + j, i], so that all it depends on lies in the two rows before.
    skewed = np.full((n_rows + n_columns - 1, n_rows), np.inf, np.float32)
    row, column = np.indices(costs.shape)
    skewed[row + column, row] = costs
    moves = np.empty(skewed.shape, np.int8)
    # Totals of the diagonal before and of the one before that; index 0 lies outside, above the first row.
    before = np.full(n_rows + 1, np.inf, np.float32)
    earlier = before.copy()
    earlier[0] = 0
    for diagonal, cost in enumerate(skewed):
        sources = np.stack([before[1:], earlier[:-1], before[:-1]])  # in the order of RIGHT, BOTH, DOWN
        moves[diagonal] = sources.argmin(axis=0)
        totals = np.full(n_rows + 1, np.inf, np.float32)
        totals[1:] = cost + sources.min(axis=0)
        earlier, before = before, totals

    path = [(n_rows - 1, n_columns - 1)]
    while path[-1] != (0, 0):
        i, j = path[-1]
        move = moves[i + j, i]
        path.append((i - (move != RIGHT), j - (move != DOWN)))
    rows, columns = np.array(path[::-1]).T
    return rows, columns


def add_word_timestamps(
    segments: list[dict],
    *,
    model: Whisper,
    tokenizer: Tokenizer,
    features: mx.array,
    n_frames: int,
    last_speech: float,
    prepend_punctuations: str = PREPEND_PUNCTUATIONS,
    append_punctuations: str = APPEND_PUNCTUATIONS,
) -> None:
    """Give a window's `segments` their "words", and fit the segments' start and end to them.

    features, n_frames: the window, as in `find_alignment`; last_speech: when speech ended before it, in seconds of the
    recording. Words are dicts of "word", "start", "end" (seconds of the recording) and "probability".
    """
    text_tokens = [[token for token in segment["tokens"] if token < tokenizer.eot] for segment in segments]
    alignment = find_alignment(model, tokenizer, list(chain.from_iterable(text_tokens)), features, n_frames)
    durations = [word.duration for word in alignment if word.duration > 0]
    typical = min(LONGEST_TYPICAL_DURATION, float(np.median(durations))) if durations else 0.0
    alignment = shorten_at_sentence_ends(alignment, 2 * typical)
    alignment = merge_punctuations(alignment, prepend_punctuations, append_punctuations)

    offset = segments[0]["seek"] / FRAMES_PER_SECOND
    timings = iter(alignment)
    for segment, tokens in zip(segments, text_tokens, strict=True):
        words = [
            {
                "word": timing.word,
                "start": round(offset + timing.start, 2),
                "end": round(offset + timing.end, 2),
                "probability": timing.probability,
            }
            for timing in words_of(timings, len(tokens))
        ]
        if words:
            shorten_after_pause(words, last_speech, typical)
            fit_to_words(segment, words, typical)
            last_speech = segment["end"]
        segment["words"] = words


def words_of(timings: Iterator[WordTiming], n_tokens: int) -> Iterator[WordTiming]:
    """As many of the next words as hold `n_tokens` tokens."""
    while n_tokens > 0 and (timing := next(timings, None)) is not None:
        n_tokens -= len(timing.tokens)
        yield timing


# What follows mends what attention often gets wrong: it lets a word last through the pause beside it.


def shorten_at_sentence_ends(alignment: list[WordTiming], longest: float) -> list[WordTiming]:
    """No mark that ends a sentence, and no word after one, lasts longer than `longest` seconds."""
    mended = alignment[:1]
    for previous, word in pairwise(alignment):
        if word.duration > longest:
            if word.word in SENTENCE_ENDS:
                word = replace(word, end=word.start + longest)
            elif previous.word in SENTENCE_ENDS:
                word = replace(word, start=word.end - longest)
        mended.append(word)
    return mended


def merge_punctuations(alignment: list[WordTiming], prepended: str, appended: str) -> list[WordTiming]:
    """Join marks that open to the word after them, and marks that close to the word before them."""
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


def shorten_after_pause(words: list[dict], last_speech: float, typical: float) -> None:
    """Where a pause goes before a segment, its first two words last at most twice as long as a `typical` word."""
    first, longest = words[0], 2 * typical
    second = words[1] if len(words) > 1 else None
    after_pause = first["end"] - last_speech > 4 * typical
    too_long = first["end"] - first["start"] > longest
    both_too_long = second is not None and second["end"] - first["start"] > 2 * longest
    if not (after_pause and (too_long or both_too_long)):
        return
    if second is not None and second["end"] - second["start"] > longest:
        first["end"] = second["start"] = max(second["end"] / 2, second["end"] - longest)
    first["start"] = max(0, first["end"] - longest)


def fit_to_words(segment: dict, words: list[dict], typical: float) -> None:
    """Start and end a segment with its words, unless its own timestamps cut half a second off the first or last one."""
    first, last = words[0], words[-1]
    if segment["start"] < first["end"] and segment["start"] - 0.5 > first["start"]:
        first["start"] = max(0, min(first["end"] - typical, segment["start"]))
    else:
        segment["start"] = first["start"]
    if segment["end"] > last["start"] and segment["end"] + 0.5 < last["end"]:
        last["end"] = max(last["start"] + typical, segment["end"])
    else:
        segment["end"] = last["end"]
