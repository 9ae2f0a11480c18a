"""The loss of a batch."""

import mlx.core as mx

from mlx_whisper_lora.data.batches import Batch
from mlx_whisper_lora.whisper.model.ops import cross_entropies
from mlx_whisper_lora.whisper.model.whisper import Whisper


def cross_entropy_loss(model: Whisper, batch: Batch) -> mx.array:
    """Sum of the cross-entropies, in nats, of the batch's label tokens; prompt and padding count for nothing."""
    return loss_from_features(model, model.encode(batch.mel), batch)


def loss_from_features(model: Whisper, features: mx.array, batch: Batch) -> mx.array:
    """`cross_entropy_loss` of encoded windows (B, P, D).

    Only label positions are projected on the vocabulary, which is the costliest product of a small model.
    """
    hidden, _ = model.decoder.hidden(batch.tokens, features)
    logits = model.decoder.logits(hidden.reshape(-1, hidden.shape[-1])[batch.positions])
    return cross_entropies(logits.astype(mx.float32), batch.labels).sum()
