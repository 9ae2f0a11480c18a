"""Language detection: the most likely language token after the start of transcript."""

from typing import NamedTuple

import mlx.core as mx
import numpy as np

from mlx_whisper_lora.whisper.decoding.overflow import check_overflow
from mlx_whisper_lora.whisper.model.whisper import Features, Whisper
from mlx_whisper_lora.whisper.text.tokenizer import Tokenizer

LanguageProbs = dict[str, float]  # code -> probability


def detect_language(
    model: Whisper, mel: mx.array | np.ndarray, tokenizer: Tokenizer | None = None
) -> tuple[mx.array, list[LanguageProbs] | LanguageProbs]:
    """Detect the language spoken in one window, or in each window of a batch.

    Args:
        model: a multilingual model.
        mel: a spectrogram or encoder output, as for `decode`.
        tokenizer: by default the model's.

    Returns:
        The most likely language tokens, shape (B,), and the probabilities of all languages in each window. For one
        window, a scalar and one dict.

    Raises:
        ValueError: the model is English-only.
    """
    features = as_features(model, mel)
    tokens, probs = detect_language_from_features(model, features, tokenizer)
    return (tokens[0], probs[0]) if mel.ndim == 2 else (tokens, probs)


def detect_language_from_features(
    model: Whisper, features: mx.array, tokenizer: Tokenizer | None = None
) -> tuple[mx.array, list[LanguageProbs]]:
    """Detect the language of each encoded window of a batch, shape (B, P, D), as `detect_language` does.

    Raises:
        ValueError: the model is English-only.
        FloatingPointError: the numbers of the model overflow in its type.
    """
    if not model.is_multilingual:
        raise ValueError("this model is English-only and cannot detect a language")
    tokenizer = tokenizer or model.tokenizer()
    languages = mx.array(tokenizer.all_language_tokens, mx.uint32)
    logits = language_logits(model, features, tokenizer)
    check_overflow(model, logits)
    rows = np.array(mx.softmax(logits, axis=-1)).tolist()
    return languages[logits.argmax(axis=-1)], [
        dict(zip(tokenizer.all_language_codes, row, strict=True)) for row in rows
    ]


def language_logits(model: Whisper, features: Features, tokenizer: Tokenizer | None = None) -> mx.array:
    """Return the logits of the language tokens after the start of transcript, for each of B windows.

    Args:
        model: a multilingual model.
        features: of the windows.
        tokenizer: by default the model's.

    Returns:
        Shape (B, L), float32, in the order of the tokenizer's languages.
    """
    tokenizer = tokenizer or model.tokenizer()
    count = (features[0] if isinstance(features, tuple) else features).shape[0]
    hidden, _ = model.decoder.hidden(mx.full((count, 1), tokenizer.sot), features)
    return model.decoder.logits(hidden[:, 0]).astype(mx.float32)[:, mx.array(tokenizer.all_language_tokens)]


class Languages(NamedTuple):
    """The languages of a batch of windows."""

    codes: list[str]
    probs: list[LanguageProbs | None]  # None for a language that was given


def resolve_languages(model: Whisper, features: mx.array, language: str | None) -> Languages:
    """Return the language of each encoded window, shape (B, P, D): the given one, or else the one detected."""
    count = features.shape[0]
    if language is not None or not model.is_multilingual:
        return Languages([model.language_code(language)] * count, [None] * count)
    _, probs = detect_language_from_features(model, features)
    return Languages([*map(most_likely, probs)], [*probs])


def most_likely(probs: LanguageProbs) -> str:
    """Return the code of the language with the highest probability."""
    return max(probs, key=probs.__getitem__)


def as_features(model: Whisper, mel: mx.array | np.ndarray) -> mx.array:
    """Encode log-mels (F, n_mels) or (B, F, n_mels) into features (B, P, D). Features are returned unchanged, batched.

    Raises:
        ValueError: `mel` has neither shape.
    """
    batch = mx.array(mel[None] if mel.ndim == 2 else mel)
    dims = model.dims
    encoded = batch.ndim == 3 and batch.shape[2] == dims.n_audio_state and batch.shape[1] <= dims.n_audio_ctx
    return batch if encoded and batch.shape[2] != dims.n_mels else model.encode(batch)
