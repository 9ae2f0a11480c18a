"""The loss of a batch."""

import mlx.core as mx

from mlx_whisper_lora.data.batches import Batch
from mlx_whisper_lora.whisper.model.ops import cross_entropies
from mlx_whisper_lora.whisper.model.whisper import Whisper


def cross_entropy_loss(model: Whisper, batch: Batch) -> mx.array:
    """Return the sum of the cross-entropies of the label tokens of a batch, in nats, without prompt and padding."""
    return loss_from_features(model, model.encode(batch.mel), batch)


def loss_from_features(model: Whisper, features: mx.array, batch: Batch) -> mx.array:
    """Return `cross_entropy_loss` for windows that are encoded already, shape (B, P, D).

    Only the label positions are projected onto the vocabulary: it is the costliest product of a small model.
    """
    hidden, _ = model.decoder.hidden(batch.tokens, features)
    logits = model.decoder.logits(hidden.reshape(-1, hidden.shape[-1])[batch.positions])
    return cross_entropies(logits.astype(mx.float32), batch.labels).sum()
