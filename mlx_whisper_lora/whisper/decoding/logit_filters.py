"""Logit filters, which forbid tokens at the next step."""

from collections.abc import Sequence
from typing import Protocol

import mlx.core as mx
import numpy as np

from mlx_whisper_lora.whisper.decoding.options import DecodingOptions
from mlx_whisper_lora.whisper.text.tokenizer import SECONDS_PER_TIMESTAMP, Tokenizer


class LogitFilter(Protocol):
    """A rule on which tokens may come next."""

    def apply(self, logits: mx.array, tokens: mx.array) -> mx.array:
        """Return `logits` (N, V) with -inf for the tokens that may not follow the generated `tokens` (N, T)."""
        ...


def logit_filters(tokenizer: Tokenizer, options: DecodingOptions, n_vocab: int) -> list[LogitFilter]:
    """Return the filters for `options`, in the order in which they apply."""
    filters: list[LogitFilter] = []
    if options.suppress_blank:
        filters.append(SuppressBlank(tokenizer, n_vocab))
    given = options.suppress_tokens
    if suppressed := tokenizer.suppressed_tokens(given, n_vocab) if given else set(tokenizer.added_tokens):
        filters.append(SuppressTokens(suppressed, n_vocab))
    if not options.without_timestamps:
        filters.append(TimestampRules(tokenizer, n_vocab, options.max_initial_timestamp))
    return filters


def _suppression_mask(tokens: Sequence[int] | set[int], n_vocab: int) -> mx.array:
    """Return zeros (V,) with -inf at `tokens`."""
    mask = np.zeros(n_vocab, np.float32)
    mask[list(tokens)] = -np.inf
    return mx.array(mask)


class SuppressBlank:
    """Forbids a transcript that starts with a space token, or that ends before its first token."""

    def __init__(self, tokenizer: Tokenizer, n_vocab: int):
        self.mask = _suppression_mask(tokenizer.blank_tokens, n_vocab)

    def apply(self, logits: mx.array, tokens: mx.array) -> mx.array:
        return logits + self.mask if tokens.shape[1] == 0 else logits


class SuppressTokens:
    """Forbids the given tokens at every step."""

    def __init__(self, tokens: set[int], n_vocab: int):
        self.mask = _suppression_mask(tokens, n_vocab)

    def apply(self, logits: mx.array, tokens: mx.array) -> mx.array:
        return logits + self.mask


class TimestampRules:
    """Keeps timestamps around the text: <|0.00|> text <|1.20|><|1.20|> text <|3.04|>.

    The first token is a timestamp, no later than the limit. A timestamp after text closes a segment. After it, a
    timestamp opens the next segment, or the transcript ends. After an opening timestamp comes text. Times never
    decrease, and a segment is never empty. If all timestamps together are more likely than any single other token, the
    next token is a timestamp.
    """

    def __init__(self, tokenizer: Tokenizer, n_vocab: int, max_initial_timestamp: float | None):
        self.eot = tokenizer.eot
        self.begin, self.end = tokenizer.timestamp_begin, tokenizer.timestamp_end
        self.text_end = tokenizer.no_timestamps  # the token before `begin`, forbidden if timestamps are generated
        self.ids = mx.arange(n_vocab)
        self.first_limit = self.end - 1
        if max_initial_timestamp:
            limit = self.begin + round(max_initial_timestamp / SECONDS_PER_TIMESTAMP)
            self.first_limit = min(limit, self.first_limit)

    def apply(self, logits: mx.array, tokens: mx.array) -> mx.array:
        if tokens.shape[1] == 0:
            return mx.where((self.ids >= self.begin) & (self.ids <= self.first_limit), logits, -mx.inf)

        times = tokens >= self.begin
        newest = mx.where(times, tokens, 0).max(axis=1, keepdims=True)  # times only grow, so the last is the largest
        last = times[:, -1:]
        before = times[:, -2:-1] if tokens.shape[1] > 1 else mx.ones_like(last)
        opened, closed = last & before, last & ~before

        # Allowed: ids from `text_floor` up to the timestamps, and timestamps from `time_floor` on.
        text_floor = mx.where(closed, self.eot, 0)
        time_floor = mx.where(opened, self.ids.size, mx.where(closed, newest, newest + 1))
        time_floor = mx.maximum(time_floor, self.begin)
        text = (self.ids >= text_floor) & (self.ids < self.text_end)
        time = (self.ids >= time_floor) & (self.ids < self.end)
        logits = mx.where(text | time, logits, -mx.inf)

        any_time = mx.logsumexp(logits[:, self.begin : self.end], axis=-1, keepdims=True)
        best_text = logits[:, : self.begin].max(axis=-1, keepdims=True)
        return mx.where((any_time > best_text) & (self.ids < self.begin), -mx.inf, logits)
