"""Maps from perturbation masks: the smallest part of a log-mel whose loss costs the prediction.

Fong and Vedaldi, "Interpretable Explanations of Black Boxes by Meaningful Perturbation", 2017, with masks of cells of
8 bands by 8 frames, as they were published for Whisper (10 by 375 cells for 30 s).
"""

import mlx.core as mx
import numpy as np
from mlx.optimizers import Adam

from mlx_whisper_lora.explanation.cells import interpolation, n_cells
from mlx_whisper_lora.explanation.replacement import blurred
from mlx_whisper_lora.explanation.targets import Targets
from mlx_whisper_lora.whisper.terminal import progress_bar

AREA, VARIATION = 0.004, 0.002  # the costs of a removed cell, and of a step from one cell to the next
_POWER = 3  # of such steps, so that one large step costs more than many small ones
_LEARNING_RATE = 0.1
_JITTER = 2  # frames and bands


def mask_maps(targets: Targets, mel: np.ndarray, steps: int, seed: int = 0) -> np.ndarray:
    """Return for each target what a mask removes to destroy its prediction, at the least cost.

    A mask m has a number from 0 (removed) to 1 (kept) in each cell. M is m, interpolated bilinearly to the log-mel x,
    and b is the blurred log-mel. Adam minimizes, for each target with the score s,

        exp(s(M x + (1 - M) b) - s(x)) + AREA sum(1 - m) + VARIATION sum(|dm|^3)

    in which dm are the steps from a cell to the next in time and in bands. The first term is the probability that is
    left, as a share. At each step, M is moved by a few frames and bands, drawn at random, so that the mask depends on
    none of them alone. m begins at 1/2, where both terms have a gradient, and stays from 0 to 1.

    Args:
        targets: T predictions.
        mel: the log-mel of a clip, shape (F, n_mels).
        steps: of Adam.
        seed: of the moves.

    Returns:
        1 - M for each target, shape (T, F, n_mels), from 0 to 1.
    """
    shape = (len(targets.names), *mel.shape)
    x, b = mx.array(mel), mx.array(blurred(mel))
    up, across = (mx.array(interpolation(count)) for count in mel.shape)
    whole = targets.own_scores(mx.broadcast_to(x, shape))
    mx.eval(whole)

    def loss(mask: mx.array, moves: tuple[int, ...]) -> mx.array:
        large = mx.roll(up @ mask @ across.T, moves, axis=(1, 2))
        left = mx.exp(targets.own_scores(large * x + (1 - large) * b) - whole)
        variation = sum((mx.abs(mx.diff(mask, axis=axis)) ** _POWER).sum() for axis in (1, 2))
        return left.sum() + AREA * (1 - mask).sum() + VARIATION * variation

    gradient_of_loss = mx.grad(loss)
    optimizer = Adam(_LEARNING_RATE, bias_correction=True)
    mask = mx.full((shape[0], *n_cells(*mel.shape)), 0.5)
    for moves in progress_bar(moves_of(steps, seed), desc="Masks", unit="step"):
        mask = mx.clip(optimizer.apply_gradients({"": gradient_of_loss(mask, moves)}, {"": mask})[""], 0, 1)
        mx.eval(mask, optimizer.state)
    return np.array(1 - up @ mask @ across.T)


def moves_of(steps: int, seed: int) -> list[tuple[int, ...]]:
    """Return the move of a mask in each step, in frames and in bands."""
    return [*map(tuple, np.random.default_rng(seed).integers(-_JITTER, _JITTER + 1, (steps, 2)).tolist())]
