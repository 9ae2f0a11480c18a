"""Maps from perturbation masks: the smallest part of a log-mel that gives a prediction.

Fong and Vedaldi, "Interpretable Explanations of Black Boxes by Meaningful Perturbation" (2017), with masks of cells of
8 bands by 8 frames, as they were published for Whisper (10 by 375 cells for 30 s).
"""

import mlx.core as mx
import numpy as np
from mlx.optimizers import Adam

from mlx_whisper_lora.explanation.cells import interpolation, n_cells
from mlx_whisper_lora.explanation.replacement import blurred
from mlx_whisper_lora.explanation.targets import Targets, batches
from mlx_whisper_lora.whisper.terminal import progress_bar

# The costs of a kept cell, and of a step of 1 from a cell to the next. Several small steps cost less than a large one.
AREA, VARIATION, POWER = 0.01, 0.002, 3
LEARNING_RATE = 0.05
JITTER = 2  # frames and bands


def mask_maps(targets: Targets, mel: np.ndarray, steps: int, seed: int = 0) -> np.ndarray:
    """Return for each target the mask that keeps its score at the least cost.

    A mask m has a number from 0 (replaced) to 1 (kept) in each cell. M is m, interpolated bilinearly to the size of the
    log-mel x, and b is the blurred x. For each target with the score s, Adam minimizes

        -s(M x + (1 - M) b) + AREA sum(m) + VARIATION sum(|dm|^POWER)

    in which dm are the steps from each cell to the next one in time and in bands. In each step of Adam, M is moved by
    up to JITTER frames and bands, drawn at random, so that the mask does not depend on single ones. m starts at 1 and
    stays from 0 to 1: from 1/2, where a prediction can be lost already, no gradient may lead back to it, and the mask
    would be empty. The mean of m over the second half of the steps depends on the moves less than the last m.

    Args:
        targets: T predictions.
        mel: the log-mel of a clip, shape (F, n_mels).
        steps: of Adam.
        seed: of the moves.

    Returns:
        The mean M for each target, shape (T, F, n_mels), from 0 to 1.
    """
    together = batches(len(targets.names), len(mel))
    return np.concatenate([_find_masks(targets, batch, mel, draw_moves(steps, seed)) for batch in together])


def _find_masks(targets: Targets, batch: slice, mel: np.ndarray, moves: list[tuple[int, int]]) -> np.ndarray:
    """Return the masks of some of the targets, with a step of Adam for each move."""
    x, b = mx.array(mel), mx.array(blurred(mel))
    along, across = (mx.array(interpolation(count)) for count in mel.shape)

    def cost(masks: mx.array, move: tuple[int, int]) -> mx.array:
        large = mx.roll(along @ masks @ across.T, move, axis=(1, 2))
        scores = targets.own_scores(large * x + (1 - large) * b, batch.start)
        variation = sum((mx.abs(mx.diff(masks, axis=axis)) ** POWER).sum() for axis in (1, 2))
        return -scores.sum() + AREA * masks.sum() + VARIATION * variation

    gradient_of_cost = mx.grad(cost)
    optimizer = Adam(LEARNING_RATE, bias_correction=True)
    masks = mx.ones((batch.stop - batch.start, *n_cells(*mel.shape)))
    late: list[mx.array] = []
    for step, move in enumerate(progress_bar(moves, desc="Masks", unit="step")):
        masks = optimizer.apply_gradients({"m": gradient_of_cost(masks, move)}, {"m": masks})["m"]
        masks = mx.clip(masks, 0, 1)
        mx.eval(masks, optimizer.state)
        if 2 * step >= len(moves) - 1:
            late.append(masks)
    return np.array(along @ mx.mean(mx.stack(late), axis=0) @ across.T)


def draw_moves(steps: int, seed: int) -> list[tuple[int, int]]:
    """Return how far the mask is moved in each step, in frames and in bands."""
    moves = np.random.default_rng(seed).integers(-JITTER, JITTER + 1, (steps, 2))
    return [(int(frames), int(bands)) for frames, bands in moves]
