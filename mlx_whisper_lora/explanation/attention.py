"""Maps from attention: where the decoder attends to while it writes a text."""

from collections.abc import Sequence

import mlx.core as mx
import numpy as np

from mlx_whisper_lora.explanation.transcript import Part, Transcript, pad_to_window
from mlx_whisper_lora.whisper.audio.constants import FRAMES_PER_POSITION
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.transcription.word_timing import attention_to_text


def attention_maps(model: Whisper, transcript: Transcript, parts: Sequence[Part], mel: np.ndarray) -> np.ndarray:
    """Return the cross-attention of the alignment heads, while the decoder writes parts of a transcript.

    It is the mean over the heads that follow the words, and over the tokens of a part. Attention knows time alone, so
    all bands of a frame have the same value.

    Args:
        model: the model.
        transcript: of a clip.
        parts: of the transcript.
        mel: the log-mel of the clip, shape (F, n_mels).

    Returns:
        Maps of shape (T, F, n_mels), each of which sums to 1.
    """
    features = model.encode(pad_to_window(model, mx.array(mel)[None]))[0]
    start, tokenizer = transcript.start, transcript.tokenizer
    weights, _ = attention_to_text(model, tokenizer, start, transcript.tokens, features, len(mel))
    rows = weights.mean(axis=0)  # the row of a token is that of the token after it
    means = np.stack([rows[_places(part, len(start))].mean(axis=0) for part in parts])
    positions = np.minimum(np.arange(len(mel)) // FRAMES_PER_POSITION, means.shape[1] - 1)
    maps = np.repeat(means[:, positions, None], mel.shape[1], axis=2)
    return maps / maps.sum(axis=(1, 2), keepdims=True)


def _places(part: Part, start: int) -> list[int]:
    """Return where the decoder writes the tokens of a part: the language follows the first token."""
    return [start - 1 + token for token in part.tokens] if part.language is None else [0]
