"""Token decoders: greedy search, sampling and beam search."""

from dataclasses import dataclass
from typing import Protocol

import mlx.core as mx
import numpy as np

from mlx_whisper_lora.whisper.model.ops import log_sum_exp
from mlx_whisper_lora.whisper.model.whisper import LayerCache


def reorder_cache(cache: list[LayerCache], rows: mx.array) -> None:
    """Keep the given rows (sequences) of the text in a decoder cache, in that order; one may be taken several times.

    The sound's keys and values stay one a window: its sequences, side by side in the batch, share them.
    """
    for layer in cache:
        if layer.text is not None:
            key, value = layer.text
            layer.text = key[rows], value[rows]


def trim_at_eot(eot: int, tokens: list[int]) -> list[int]:
    return tokens[: tokens.index(eot)] if eot in tokens else tokens


def best_sequence(tokens: list[list[int]], sum_logprobs: list[float], length_penalty: float | None) -> int:
    """The index of the likeliest sequence, its length made up for as DecodingOptions says."""
    lengths = np.array([len(sequence) for sequence in tokens])
    weights = np.maximum(lengths, 1) if length_penalty is None else ((5 + lengths) / 6) ** length_penalty
    return int(np.argmax(np.array(sum_logprobs) / weights))


@dataclass(frozen=True)
class Hypotheses:
    """The sequences so far: tokens (N, T) and summed log-probabilities (N,)."""

    tokens: mx.array
    sum_logprobs: mx.array
    all_ended: mx.array  # one boolean, computed with the rest so that reading it waits for nothing else

    @classmethod
    def nothing(cls, count: int) -> "Hypotheses":
        return cls(mx.zeros((count, 0), mx.int32), mx.zeros(count), mx.array(False))


class TokenDecoder(Protocol):
    """Chooses the tokens."""

    sequences_per_window: int

    def extend(self, written: Hypotheses, logits: mx.array) -> tuple[Hypotheses, mx.array | None]:
        """One more token for every sequence, from `logits` (N, V); with it, the sequences that were gone on from, as
        row numbers (N,), or None where each is its own."""
        ...

    def sequences(self, written: Hypotheses) -> tuple[list[list[list[int]]], list[list[float]]]:
        """For each window, the tokens of its sequences up to the end of text, and their summed log-probabilities."""
        ...


class SamplingDecoder:
    """Extends each sequence alone: by the likeliest token at temperature 0, by a random draw above it."""

    def __init__(self, count: int, temperature: float, eot: int):
        self.sequences_per_window = count
        self.temperature = temperature
        self.eot = eot

    def extend(self, written: Hypotheses, logits: mx.array) -> tuple[Hypotheses, None]:
        greedy = self.temperature == 0
        chosen = logits.argmax(axis=-1) if greedy else mx.random.categorical(logits / self.temperature)
        logprobs = (mx.take_along_axis(logits, chosen[:, None], axis=-1) - log_sum_exp(logits))[:, 0]
        if written.tokens.shape[1] > 0:  # a sequence that has ended gets the end again
            ended = written.tokens[:, -1] == self.eot
            chosen, logprobs = mx.where(ended, self.eot, chosen), mx.where(ended, 0, logprobs)
        chosen = chosen.astype(mx.int32)
        extended = Hypotheses(
            tokens=mx.concatenate([written.tokens, chosen[:, None]], axis=1),
            sum_logprobs=written.sum_logprobs + logprobs,
            all_ended=(chosen == self.eot).all(),
        )
        return extended, None

    def sequences(self, written: Hypotheses) -> tuple[list[list[list[int]]], list[list[float]]]:
        count = self.sequences_per_window
        tokens = [trim_at_eot(self.eot, row) for row in np.array(written.tokens).tolist()]
        groups = [tokens[i : i + count] for i in range(0, len(tokens), count)]
        return groups, np.array(written.sum_logprobs).reshape(-1, count).tolist()


class BeamSearchDecoder:
    """Follows the likeliest sequences of each window, those that end being set aside.

    A window is done once `beam_size` times `patience` sequences have ended. Each step looks at twice as many of the
    likeliest extensions as there are beams: of these at most one a beam ends, so enough go on. Those that end count
    only where they are likelier than the last one that goes on. W stands for the beam size below.
    """

    def __init__(self, beam_size: int, patience: float | None, eot: int):
        self.sequences_per_window = beam_size
        self.wanted = round(beam_size * (1.0 if patience is None else patience))
        self.eot = eot
        self.counts = mx.array(0)  # of ended sequences a window (B,)
        # Step by step, the tokens (B, 2W, T) looked at, likeliest first, their scores, and which of them ended (B, 2W).
        self.steps: list[tuple[mx.array, mx.array, mx.array]] = []

    def extend(self, written: Hypotheses, logits: mx.array) -> tuple[Hypotheses, mx.array]:
        beams, n_vocab = self.sequences_per_window, logits.shape[-1]
        scores = written.sum_logprobs[:, None] + logits - log_sum_exp(logits)
        scores = scores.reshape(-1, beams * n_vocab)
        if written.tokens.shape[1] == 0:
            scores = scores[:, :n_vocab]  # all beams are still the same
        best = mx.argpartition(-scores, 2 * beams - 1, axis=-1)[:, : 2 * beams]
        scores = mx.take_along_axis(scores, best, axis=-1)
        order = mx.argsort(-scores, axis=-1)
        best, scores = mx.take_along_axis(best, order, axis=-1), mx.take_along_axis(scores, order, axis=-1)

        chosen = (best % n_vocab).astype(mx.int32)
        rows = mx.arange(len(best))[:, None] * beams + best // n_vocab
        tokens = mx.concatenate([written.tokens[rows], chosen[..., None]], axis=-1)
        ends = chosen == self.eot
        going_on_before = mx.cumsum(~ends, axis=-1) - ~ends
        ended = ends & (going_on_before < beams) & (scores > -mx.inf)
        self.steps.append((tokens, scores, ended))
        self.counts = self.counts + ended.sum(axis=-1)
        mx.async_eval(self.steps[-1], self.counts)

        go_on = mx.argsort(mx.where(ends, 2 * beams, 0) + mx.arange(2 * beams), axis=-1)[:, :beams]
        extended = Hypotheses(
            tokens=mx.take_along_axis(tokens, go_on[..., None], axis=1).flatten(0, 1),
            sum_logprobs=mx.take_along_axis(scores, go_on, axis=-1).flatten(),
            all_ended=(self.counts >= self.wanted).all(),
        )
        return extended, mx.take_along_axis(rows, go_on, axis=-1).flatten()

    def sequences(self, written: Hypotheses) -> tuple[list[list[list[int]]], list[list[float]]]:
        """Those that ended, in the order in which they did, and where they are too few, the likeliest that did not."""
        steps = [[np.array(array) for array in step] for step in self.steps]
        groups, sums = [], []
        for i in range(len(written.tokens) // self.sequences_per_window):
            found: list[tuple[list[int], float]] = []
            for step in steps:
                tokens, scores, ended = (array[i] for array in step)
                found += zip(tokens[ended, :-1].tolist(), scores[ended].tolist(), strict=True)
                if len(found) >= self.wanted:  # done, though other windows may not be
                    break
            found = found[: self.wanted]
            missing = max(self.sequences_per_window - len(found), 0)
            going_on = tokens[:, -1] != self.eot
            found += zip(tokens[going_on][:missing].tolist(), scores[going_on][:missing].tolist(), strict=True)
            groups.append([tokens for tokens, _ in found])
            sums.append([score for _, score in found])
        return groups, sums
