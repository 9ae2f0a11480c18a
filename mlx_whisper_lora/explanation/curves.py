"""Deletion and insertion curves: a test of a map (Petsiuk et al., "RISE", 2018).

The cells of a clip are removed in the order of the sizes of a map, the largest first. If the prediction rests on them,
its probability falls early, and the area under this curve of deletion is small. For insertion, the same cells come
first into a clip of silence, and the area is large. Even random maps give curves that fall and rise. So those of a map
are always beside those of random maps of its smoothness.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import mlx.core as mx
import numpy as np
import scipy.integrate

from mlx_whisper_lora.explanation.cells import cell_means, n_cells, spread
from mlx_whisper_lora.explanation.replacement import silent
from mlx_whisper_lora.explanation.targets import Targets, batches
from mlx_whisper_lora.whisper.terminal import progress_bar

SHARES = (0.0, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0)  # of the cells that are removed or inserted
N_RANDOM = 3  # maps; another random one is better than all of them once in four


@dataclass(frozen=True)
class Curves:
    """The probability of a target with each of SHARES removed or inserted, by a map and by random ones."""

    deletion: np.ndarray  # shape (S,)
    insertion: np.ndarray
    random_deletion: np.ndarray  # shape (N_RANDOM, S)
    random_insertion: np.ndarray

    @property
    def passes(self) -> dict[str, bool]:
        """Whether the map is better than every random one in deletion, and in insertion."""
        return {
            "deletion": area(self.deletion) < min(map(area, self.random_deletion)),
            "insertion": area(self.insertion) > max(map(area, self.random_insertion)),
        }

    @property
    def verdict(self) -> str:
        """A sentence on the worth of the map."""
        passed = [name for name, better in self.passes.items() if better]
        if not passed:
            return "This map is no better than a random one."
        failed = [name for name in self.passes if name not in passed]
        rest = f", and no better than a random one in {failed[0]}" if failed else ""
        return f"This map is better than {N_RANDOM} random ones in {' and '.join(passed)}{rest}."


def area(curve: np.ndarray) -> float:
    """Return the area under a curve over SHARES: the mean probability."""
    return float(scipy.integrate.trapezoid(curve, SHARES))


def measure_curves(targets: Targets, mel: np.ndarray, maps: np.ndarray, seed: int = 0) -> list[Curves]:
    """Return the curves of a map for each of T targets.

    Cells become silent, and not blurred as in `masks.py`, so that no method is tested by its own means.

    Args:
        targets: T predictions.
        mel: the log-mel of a clip, shape (F, n_mels).
        maps: one for each target, shape (T, F, n_mels). Only the order of the sizes of their cells counts.
        seed: of the random maps, which all targets share. Their smoothness is the mean one of the maps.
    """
    cells = cell_means(np.abs(maps))  # what speaks against a prediction matters to it too
    *others, last = random_maps(cells, N_RANDOM + 1, seed)
    # Between cells of the same value, such as those that a mask does not touch, a random map decides.
    orders = [np.lexsort((last.ravel(), -each.ravel())) for each in (*cells, *others)]
    ends = np.exp(_scores(targets, [mel, silent(mel)]))
    played = [_play(targets, mel, order, ends) for order in progress_bar(orders, desc="Curves", unit="map")]
    own, random = played[: len(maps)], np.stack(played[len(maps) :])
    return [Curves(*own[t][..., t], *random[..., t].swapaxes(0, 1)) for t in range(len(maps))]


def random_maps(maps: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Return maps (count, R, C) as smooth as `maps` (T, R, C): with their mean spectrum, and random phases.

    They are surrogates as in Theiler et al., "Testing for nonlinearity in time series" (1992).
    """
    spectra = np.abs(np.fft.rfft2(maps))
    spectra /= np.maximum(np.linalg.norm(spectra, axis=(1, 2), keepdims=True), np.finfo(np.float32).tiny)
    noise = np.random.default_rng(seed).standard_normal((count, *maps.shape[1:]))
    phases = np.exp(1j * np.angle(np.fft.rfft2(noise)))
    return np.fft.irfft2(spectra.mean(axis=0) * phases, maps.shape[1:])


def _play(targets: Targets, mel: np.ndarray, order: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Return the probabilities (2, S, T) if cells are removed, or inserted, in an order.

    Args:
        targets: T predictions.
        mel: the log-mel of a clip.
        order: the cells in the order, shape (R * C,).
        ends: the probabilities with all cells, and with none, shape (2, T).
    """
    ranks = spread(np.argsort(order).reshape(n_cells(*mel.shape)), mel.shape)
    firsts = [ranks < round(share * len(order)) for share in SHARES[1:-1]]
    mels = [np.where(cells, *pair) for pair in ((silent(mel), mel), (mel, silent(mel))) for cells in firsts]
    deletion, insertion = np.split(np.exp(_scores(targets, mels)), 2)
    return np.stack([[ends[0], *deletion, ends[1]], [ends[1], *insertion, ends[0]]])


def _scores(targets: Targets, mels: Sequence[np.ndarray]) -> np.ndarray:
    """Return the scores (B, T) of log-mels."""
    parts = [mx.array(np.stack(mels[batch])) for batch in batches(len(mels), len(mels[0]))]
    return np.concatenate([np.array(targets.scores(part)) for part in parts])
