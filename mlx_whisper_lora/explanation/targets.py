"""Targets: the predictions that are explained, each with a score in any log-mel of a clip.

A transcript, a word, a language and the class of a classifier are explained alike: the methods know no more of them
than their scores.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import mlx.core as mx
import numpy as np

from mlx_whisper_lora.explanation.transcript import Part, Transcript, pad_to_window
from mlx_whisper_lora.whisper.audio.constants import FRAMES_PER_POSITION
from mlx_whisper_lora.whisper.model.ops import cross_entropies
from mlx_whisper_lora.whisper.model.whisper import Features, Whisper

_FRAMES = 2400  # of log-mels that are computed together


@dataclass(frozen=True)
class Targets:
    """Predictions that are scored together.

    Attributes:
        names: the name of each of the T targets.
        scores: returns the scores (B, T) of log-mels (B, F, n_mels) of a clip. A score is the logarithm of a
            probability, in nats. MLX can differentiate it.
    """

    names: Sequence[str]
    scores: Callable[[mx.array], mx.array]

    def own_scores(self, mels: mx.array, first: int = 0) -> mx.array:
        """Return the score of each target from `first` on in a log-mel of its own: (B, F, n_mels) to (B,)."""
        return mx.diagonal(self.scores(mels)[:, first : first + len(mels)])


def batches(count: int, n_frames: int) -> list[slice]:
    """Return slices of `count` log-mels of `n_frames` each, so few that they are computed together in little memory."""
    size = max(_FRAMES // n_frames, 1)
    return [slice(first, min(first + size, count)) for first in range(0, count, size)]


def transcript_targets(model: Whisper, transcript: Transcript, parts: Sequence[Part], n_frames: int) -> Targets:
    """Return parts of a transcript as targets.

    The score of a text is the mean log-probability of its tokens after those before them, and that of a language its
    log-probability among the languages.

    Args:
        model: the model.
        transcript: of a clip.
        parts: of the transcript.
        n_frames: the length F of the clip.
    """
    tokenizer, start, text = transcript.tokenizer, len(transcript.start), mx.array(transcript.tokens)
    tokens = mx.array([*transcript.start, *transcript.tokens])[None]
    languages = mx.array(tokenizer.all_language_tokens if tokenizer.language else (), mx.int32)
    shares = mx.array(np.stack([_shares(transcript, part) for part in parts], axis=1))
    encode = encoder_of(model, n_frames)

    def scores(mels: mx.array) -> mx.array:
        hidden, _ = model.decoder.hidden(mx.broadcast_to(tokens, (len(mels), tokens.shape[1])), encode(mels))
        before_text = hidden[:, start - 1 : -1].reshape(-1, hidden.shape[-1])
        of_text = _log_probabilities(model.decoder.logits(before_text), mx.tile(text, len(mels)))
        numbers = [of_text.reshape(len(mels), -1)]
        if languages.size:
            logits = model.decoder.logits(hidden[:, 0])[:, languages]  # after the start of transcript
            numbers.append(logits - mx.logsumexp(logits, axis=-1, keepdims=True))
        return mx.concatenate(numbers, axis=1) @ shares

    return Targets([part.name for part in parts], scores)


def _shares(transcript: Transcript, part: Part) -> np.ndarray:
    """Return the share of each token of the text, and then of each language, in the score of a part."""
    tokenizer = transcript.tokenizer
    codes = tokenizer.all_language_codes if tokenizer.language else ()
    shares = np.zeros(len(transcript.tokens) + len(codes), np.float32)
    if part.language is None:
        shares[part.tokens] = 1 / len(part.tokens)
    else:
        shares[len(transcript.tokens) + codes.index(part.language)] = 1
    return shares


def encoder_of(model: Whisper, n_frames: int) -> Callable[[mx.array], Features]:
    """Return a function that encodes log-mels (B, F, n_mels), with the silence after them encoded once for all."""
    frames = pad_to_window(model, mx.zeros((1, n_frames, model.dims.n_mels))).shape[1]
    silence = model.encode_silence(frames // FRAMES_PER_POSITION)
    mx.eval(silence)

    def encode(mels: mx.array) -> Features:
        features = model.encoder(pad_to_window(model, mels).astype(model.dtype))
        return (features, silence) if silence.size else features

    return encode


def _log_probabilities(logits: mx.array, tokens: mx.array) -> mx.array:
    """Return the log-probability of each of `tokens` (N,) by `logits` (N, V).

    The gradient comes with it, as in training: a NumPy kernel computes both on a CPU.
    """

    @mx.custom_function
    def compute(logits: mx.array) -> list[mx.array]:
        losses, gradient = cross_entropies(logits, tokens)
        return [-losses, -gradient]

    @compute.vjp
    def _(inputs, cotangents, outputs):
        return outputs[1] * cotangents[0][:, None]

    return compute(logits)[0]
