"""Maps from gradients: how the score changes with each number of the log-mel.

The zero of a log-mel is not nothing: it is a power of 1e-4, and silence lies below it. So maps count from a
log-mel of silence on, and a number that is silent already gets nothing.
"""

import mlx.core as mx
import numpy as np

from mlx_whisper_lora.explanation.replacement import silent
from mlx_whisper_lora.explanation.targets import Targets, batches
from mlx_whisper_lora.whisper.terminal import progress_bar

INTEGRATION_STEPS = 24  # sums of real speech on base are within a fifth of the exact one, and of 96 within 1 %


def gradient_maps(targets: Targets, mel: np.ndarray) -> np.ndarray:
    """Return the gradient of each score, times the distance of the log-mel from silence.

    Args:
        targets: T predictions.
        mel: the log-mel of a clip, shape (F, n_mels).

    Returns:
        Maps of shape (T, F, n_mels) in nats: by about how much each number raises the score.
    """
    return _gradients(targets, mel) * (mel - silent(mel))


def integrated_maps(targets: Targets, mel: np.ndarray, steps: int = INTEGRATION_STEPS) -> np.ndarray:
    """Return integrated gradients (Sundararajan et al., "Axiomatic Attribution for Deep Networks", 2017).

    With the log-mel x and a log-mel of silence b, the map is (x - b) times the mean of the gradient at b + a (x - b),
    for a from 0 to 1 in the middles of equal steps. With enough steps, it sums to the score of x less that of b.

    Args:
        targets: T predictions.
        mel: the log-mel of a clip, shape (F, n_mels).
        steps: on the way from silence. The sum is more precise with more of them.

    Returns:
        Maps of shape (T, F, n_mels) in nats.
    """
    baseline, total = silent(mel), np.zeros((len(targets.names), *mel.shape), np.float32)
    for step in progress_bar(range(steps), desc="Integrated gradients", unit="step"):
        total += _gradients(targets, baseline + (step + 0.5) / steps * (mel - baseline))
    return (mel - baseline) * total / steps


def _gradients(targets: Targets, mel: np.ndarray) -> np.ndarray:
    """Return the gradient of each of T scores for a log-mel, shape (T, F, n_mels)."""
    parts = []
    for batch in batches(len(targets.names), len(mel)):
        copies = mx.broadcast_to(mx.array(mel), (batch.stop - batch.start, *mel.shape))
        gradient = mx.grad(lambda mels, first: targets.own_scores(mels, first).sum())(copies, batch.start)
        parts.append(np.array(gradient))
    return np.concatenate(parts)
