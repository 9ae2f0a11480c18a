"""Language detection: the most likely language token after the start of transcript."""

import mlx.core as mx
import numpy as np

from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.text.tokenizer import Tokenizer, language_code


def detect_language(
    model: Whisper, mel: mx.array, tokenizer: Tokenizer | None = None
) -> tuple[mx.array, list[dict[str, float]] | dict[str, float]]:
    """The language spoken in one window or in each of a batch; `mel` as for `decode`.

    Returns the likeliest language tokens (B,) and, for each window, code -> probability over all languages; for one
    window, a scalar and one dict. Raises ValueError for an English-only model.
    """
    features = as_features(model, mel)
    tokens, probs = detect_language_from_features(model, features, tokenizer)
    return (tokens[0], probs[0]) if mel.ndim == 2 else (tokens, probs)


def detect_language_from_features(
    model: Whisper, features: mx.array, tokenizer: Tokenizer | None = None
) -> tuple[mx.array, list[dict[str, float]]]:
    """`detect_language` for a batch of encoded windows (B, P, D)."""
    if not model.is_multilingual:
        raise ValueError("this model is English-only and cannot detect a language")
    tokenizer = tokenizer or model.tokenizer()
    hidden, _ = model.decoder.hidden(mx.full((features.shape[0], 1), tokenizer.sot), features)
    first, count = tokenizer.all_language_tokens[0], tokenizer.num_languages
    logits = model.decoder.logits(hidden[:, 0]).astype(mx.float32)[:, first : first + count]
    rows = np.array(mx.softmax(logits, axis=-1)).tolist()
    return first + logits.argmax(axis=-1), [dict(zip(tokenizer.all_language_codes, row, strict=True)) for row in rows]


def resolve_languages(
    model: Whisper, features: mx.array, language: str | None
) -> tuple[list[str], list[dict[str, float] | None]]:
    """Each window's language code, given or detected, and the probabilities where it was detected."""
    count = features.shape[0]
    if language is not None or not model.is_multilingual:
        return [language_code(language or "en")] * count, [None] * count
    _, probs = detect_language_from_features(model, features)
    return [max(window, key=window.__getitem__) for window in probs], [*probs]


def as_features(model: Whisper, mel: mx.array) -> mx.array:
    """Encode log-mels (F, n_mels) or (B, F, n_mels) into features (B, P, D). Features are returned unchanged, batched.

    Raises:
        ValueError: `mel` has neither shape.
    """
    batch = mel[None] if mel.ndim == 2 else mel
    dims = model.dims
    encoded = batch.ndim == 3 and batch.shape[2] == dims.n_audio_state and batch.shape[1] <= dims.n_audio_ctx
    return batch if encoded and batch.shape[2] != dims.n_mels else model.encode(batch)
