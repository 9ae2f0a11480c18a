"""Token decoders: greedy search, sampling and beam search."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import mlx.core as mx
import numpy as np

from mlx_whisper_lora.whisper.model.ops import log_sum_exp


def sampling_key(frames: mx.array, attempt: int) -> mx.array:
    """Return a random key that depends on a window's audio and on how often it was decoded before.

    So a recording has one transcript, whatever is decoded before it or together with it.
    """
    return mx.random.key(zlib.crc32(np.array(frames, copy=False).tobytes()) + attempt)


def _trim_at_eot(tokens: list[int], eot: int) -> list[int]:
    return tokens[: tokens.index(eot)] if eot in tokens else tokens


@dataclass(frozen=True)
class Candidate:
    """A transcript that a token decoder proposes for a window."""

    tokens: list[int]  # without the end of text
    sum_logprob: float  # natural logarithm of its probability, the end of text included


def best_sequence(candidates: Sequence[Candidate], length_penalty: float | None) -> Candidate:
    """Return the most likely candidate, each score normalized by its length as `length_penalty` says."""
    lengths = np.array([len(candidate.tokens) for candidate in candidates])
    weights = np.maximum(lengths, 1) if length_penalty is None else ((5 + lengths) / 6) ** length_penalty
    scores = np.array([candidate.sum_logprob for candidate in candidates])
    return candidates[int(np.argmax(scores / weights))]


@dataclass(frozen=True)
class Hypotheses:
    """The sequences generated so far."""

    tokens: mx.array  # (N, T)
    sum_logprobs: mx.array  # (N,)
    finished: mx.array  # (N,), booleans, computed with the rest so that reading them waits for nothing else

    @classmethod
    def empty(cls, count: int) -> "Hypotheses":
        return cls(mx.zeros((count, 0), mx.int32), mx.zeros(count), mx.zeros(count, mx.bool_))

    def __getitem__(self, rows: mx.array) -> "Hypotheses":
        return Hypotheses(self.tokens[rows], self.sum_logprobs[rows], self.finished[rows])


class TokenDecoder(Protocol):
    """A strategy for choosing the next tokens."""

    sequences_per_window: int

    def step(self, hypotheses: Hypotheses, logits: mx.array) -> tuple[Hypotheses, mx.array | None]:
        """Add one token to every sequence.

        Args:
            hypotheses: the sequences so far.
            logits: of the next token, shape (N, V).

        Returns:
            The longer sequences, and the row of the sequence that each of them extends, shape (N,). The rows are None
            if every sequence extends itself.
        """
        ...

    def finalize(self, hypotheses: Hypotheses) -> list[list[Candidate]]:
        """Return the candidates of each window."""
        ...

    def keep(self, windows: mx.array) -> None:
        """Continue with the given windows only."""
        ...


class SamplingDecoder:
    """Extends each sequence on its own: by the most likely token at temperature 0, by a random draw above 0.

    Args:
        count: number of sequences of a window.
        temperature: divides the logits before a draw.
        eot: the token that ends a text.
        keys: a random key for each window, or None to draw from MLX's global random state.
    """

    def __init__(self, count: int, temperature: float, eot: int, keys: Sequence[mx.array] | None = None):
        self.sequences_per_window = count
        self.temperature = temperature
        self.eot = eot
        # Of each sequence, shape (B, count, 2).
        self._keys = None if keys is None else mx.stack([mx.random.split(key, count) for key in keys])

    def step(self, hypotheses: Hypotheses, logits: mx.array) -> tuple[Hypotheses, None]:
        chosen = self._choose(logits)
        logprobs = (mx.take_along_axis(logits, chosen[:, None], axis=-1) - log_sum_exp(logits))[:, 0]
        # A finished sequence is filled up with the end of text.
        chosen = mx.where(hypotheses.finished, self.eot, chosen).astype(mx.int32)
        logprobs = mx.where(hypotheses.finished, 0, logprobs)
        extended = Hypotheses(
            tokens=mx.concatenate([hypotheses.tokens, chosen[:, None]], axis=1),
            sum_logprobs=hypotheses.sum_logprobs + logprobs,
            finished=chosen == self.eot,
        )
        return extended, None

    def _choose(self, logits: mx.array) -> mx.array:
        """Return a token for each row of `logits` (N, V)."""
        if self.temperature == 0:
            return logits.argmax(axis=-1)
        if self._keys is None:
            return mx.random.categorical(logits / self.temperature)
        pairs = mx.vmap(mx.random.split)(self._keys.flatten(0, 1))
        self._keys = pairs[:, 0].reshape(self._keys.shape)
        return mx.vmap(lambda row, key: mx.random.categorical(row, key=key))(logits / self.temperature, pairs[:, 1])

    def finalize(self, hypotheses: Hypotheses) -> list[list[Candidate]]:
        rows = zip(np.array(hypotheses.tokens).tolist(), np.array(hypotheses.sum_logprobs).tolist(), strict=True)
        candidates = [Candidate(_trim_at_eot(tokens, self.eot), sum_logprob) for tokens, sum_logprob in rows]
        count = self.sequences_per_window
        return [candidates[i : i + count] for i in range(0, len(candidates), count)]

    def keep(self, windows: mx.array) -> None:
        self._keys = None if self._keys is None else self._keys[windows]


class BeamSearchDecoder:
    """Follows the most likely sequences of each window and sets aside those that finish.

    A window is done once `beam_size` times `patience` of its sequences have finished. Each step considers twice as many
    extensions as there are beams. At most one of them per beam finishes, so enough are left to continue. A finished
    sequence counts only if it is more likely than the last one that continues. W stands for the beam size below.
    """

    def __init__(self, beam_size: int, patience: float | None, eot: int):
        self.sequences_per_window = beam_size
        self.max_finished = round(beam_size * (1.0 if patience is None else patience))
        self.eot = eot
        self.n_finished = mx.array(0)  # finished sequences of each window (B,)
        # For each step the tokens (B, 2W, T) considered, the most likely first, their scores, and which of them
        # finished (B, 2W).
        self.history: list[tuple[mx.array, mx.array, mx.array]] = []

    def step(self, hypotheses: Hypotheses, logits: mx.array) -> tuple[Hypotheses, mx.array]:
        beams, n_vocab = self.sequences_per_window, logits.shape[-1]
        scores = hypotheses.sum_logprobs[:, None] + logits - log_sum_exp(logits)
        scores = scores.reshape(-1, beams * n_vocab)
        if hypotheses.tokens.shape[1] == 0:
            scores = scores[:, :n_vocab]  # all beams are still the same
        best = mx.argpartition(-scores, 2 * beams - 1, axis=-1)[:, : 2 * beams]
        scores = mx.take_along_axis(scores, best, axis=-1)
        order = mx.argsort(-scores, axis=-1)
        best, scores = mx.take_along_axis(best, order, axis=-1), mx.take_along_axis(scores, order, axis=-1)

        chosen = (best % n_vocab).astype(mx.int32)
        rows = mx.arange(len(best))[:, None] * beams + best // n_vocab
        tokens = mx.concatenate([hypotheses.tokens[rows], chosen[..., None]], axis=-1)
        ends = chosen == self.eot
        n_continuing_before = mx.cumsum(~ends, axis=-1) - ~ends
        finished = ends & (n_continuing_before < beams) & (scores > -mx.inf)
        self.history.append((tokens, scores, finished))
        self.n_finished = self.n_finished + finished.sum(axis=-1)
        mx.async_eval(self.history[-1], self.n_finished)

        continuing = mx.argsort(mx.where(ends, 2 * beams, 0) + mx.arange(2 * beams), axis=-1)[:, :beams]
        extended = Hypotheses(
            tokens=mx.take_along_axis(tokens, continuing[..., None], axis=1).flatten(0, 1),
            sum_logprobs=mx.take_along_axis(scores, continuing, axis=-1).flatten(),
            finished=mx.repeat(self.n_finished >= self.max_finished, beams),
        )
        return extended, mx.take_along_axis(rows, continuing, axis=-1).flatten()

    def finalize(self, hypotheses: Hypotheses) -> list[list[Candidate]]:
        """Return the finished sequences in the order in which they finished.

        If a window has fewer than there are beams, its most likely unfinished sequences fill the gap.
        """
        history = [tuple(np.array(array) for array in step) for step in self.history]
        n_windows = len(hypotheses.tokens) // self.sequences_per_window
        return [self._candidates([tuple(array[i] for array in step) for step in history]) for i in range(n_windows)]

    def keep(self, windows: mx.array) -> None:
        self.n_finished = self.n_finished[windows]
        self.history = [(tokens[windows], scores[windows], ends[windows]) for tokens, scores, ends in self.history]

    def _candidates(self, history: list[tuple[np.ndarray, ...]]) -> list[Candidate]:
        """Return the candidates of the window whose part of the history is given."""
        found: list[Candidate] = []
        for tokens, scores, finished in history:
            found += _candidates(tokens[finished, :-1], scores[finished])
            if len(found) >= self.max_finished:  # done, though other windows may not be
                break
        found = found[: self.max_finished]
        n_missing = max(self.sequences_per_window - len(found), 0)
        continuing = tokens[:, -1] != self.eot
        return found + _candidates(tokens[continuing][:n_missing], scores[continuing][:n_missing])


def _candidates(tokens: np.ndarray, scores: np.ndarray) -> list[Candidate]:
    return [Candidate(*row) for row in zip(tokens.tolist(), scores.tolist(), strict=True)]
