"""The loss of a batch."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import mlx.core as mx
from mlx.utils import tree_flatten, tree_unflatten

from mlx_whisper_lora.data.batches import Batch, make_labels
from mlx_whisper_lora.data.dataset import Example
from mlx_whisper_lora.whisper.model.ops import compute_now, cross_entropies
from mlx_whisper_lora.whisper.model.whisper import Features, Whisper


class LabelBatch(Protocol):
    """The fields of a batch that the decoder needs, as in `Batch`."""

    @property
    def tokens(self) -> mx.array: ...
    @property
    def positions(self) -> mx.array: ...
    @property
    def labels(self) -> mx.array: ...


_PIECE = 64  # labels whose logits are in memory together: 13 MB


class TranscriptBatch(NamedTuple):
    """A batch whose first encoder blocks are computed already. The other fields are those of `Batch`."""

    states: mx.array  # (B, P, D), or log-mels if no block is frozen for sure
    silence: mx.array  # features of what follows the window, (1, S, D)
    tokens: mx.array
    positions: mx.array
    labels: mx.array


class TranscriptLoss:
    """The loss of transcripts, as `EncoderCache` needs it.

    Args:
        label_smoothing: as for `loss_from_features`.
    """

    def __init__(self, label_smoothing: float = 0.0):
        self.label_smoothing = label_smoothing

    def batch(self, states: mx.array, silence: mx.array, examples: Sequence[Example]) -> TranscriptBatch:
        """Return a batch with the labels of examples."""
        return TranscriptBatch(states, silence, *make_labels(examples))

    def __call__(self, model: Whisper, features: Features, batch: TranscriptBatch) -> mx.array:
        """Return the sum of the cross-entropies of the label tokens, for windows that are encoded already."""
        return loss_from_features(model, features, batch, self.label_smoothing)


def cross_entropy_loss(model: Whisper, batch: Batch) -> mx.array:
    """Return the sum of the cross-entropies of the label tokens of a batch, in nats, without prompt and padding."""
    return loss_from_features(model, model.encode(batch.mel), batch)


def loss_from_features(model: Whisper, features: Features, batch: LabelBatch, label_smoothing: float = 0.0) -> mx.array:
    """Return `cross_entropy_loss` for windows that are encoded already.

    Only the label positions are projected onto the vocabulary: it is the costliest product of a small model.

    Args:
        model: the model.
        features: of the windows.
        batch: the tokens and labels.
        label_smoothing: the share of the probability of each label that is spread over all tokens (Szegedy et al.,
            "Rethinking the Inception architecture", 2016).
    """
    hidden, _ = model.decoder.hidden(batch.tokens, features)
    hidden = hidden.reshape(-1, hidden.shape[-1])[batch.positions]
    trained = tree_flatten(model.decoder.token_embedding.trainable_parameters())
    names = [name for name, _ in trained]
    return _output_loss(model, batch.labels, names, label_smoothing)(hidden, *(array for _, array in trained))[0]


def _output_loss(
    model: Whisper, labels: mx.array, names: list[str], label_smoothing: float
) -> Callable[..., list[mx.array]]:
    """Return a function of the hidden states (N, D) before labels (N,), and of the trained arrays of the output layer.

    It returns the sum of the cross-entropies, and its gradients for the arguments. They are computed together, for one
    piece of the labels after another, so that the logits of all labels are never in memory (Hsu et al., "Liger Kernel",
    2024).
    """
    embedding = model.decoder.token_embedding

    def logits_of(hidden: mx.array, *weights: mx.array) -> mx.array:
        before = embedding.trainable_parameters()
        embedding.update(tree_unflatten(list(zip(names, weights, strict=True))))
        logits = model.decoder.logits(hidden)
        embedding.update(before)
        return logits

    @mx.custom_function
    def loss(hidden: mx.array, *weights: mx.array) -> list[mx.array]:
        total, for_hidden, for_weights = mx.array(0.0), [], [mx.array(0.0)] * len(weights)
        for first in range(0, len(labels), _PIECE):
            piece = hidden[first : first + _PIECE]
            logits = logits_of(piece, *weights)
            losses, gradient = cross_entropies(logits, labels[first : first + _PIECE])
            if label_smoothing:
                losses, gradient = _smooth(losses, gradient, logits, labels[first : first + _PIECE], label_smoothing)
            _, (of_hidden, *of_weights) = mx.vjp(logits_of, [piece, *weights], [gradient])
            total = total + losses.sum()
            for_hidden.append(of_hidden)
            for_weights = [sum_ + each for sum_, each in zip(for_weights, of_weights, strict=True)]
            compute_now(total, of_hidden, *for_weights)
        return [total, mx.concatenate(for_hidden), *for_weights]

    @loss.vjp
    def _(inputs, cotangents, outputs):
        return [gradient * cotangents[0].astype(gradient.dtype) for gradient in outputs[1:]]

    return loss


def _smooth(
    losses: mx.array, gradient: mx.array, logits: mx.array, labels: mx.array, share: float
) -> tuple[mx.array, mx.array]:
    """Return cross-entropies of labels (N,), and their gradients for `logits` (N, V), with smooth labels."""
    # A smooth label wants less of its own token, and as much of all tokens.
    change = mx.full(logits.shape, -share / logits.shape[-1]).at[mx.arange(len(labels)), labels].add(share)
    counts = (labels >= 0)[:, None]
    change = mx.where(counts, change, 0)
    return losses + (change * logits.astype(mx.float32)).sum(axis=-1), gradient + change.astype(gradient.dtype)
