"""Cells: the squares of a log-mel that masks are made of, and that are removed together."""

import numpy as np

CELL = 8  # frames, and mel bands


def n_cells(n_frames: int, n_mels: int) -> tuple[int, int]:
    """Return the number of cells of a log-mel in time and in bands: 375 by 10 in 30 s of 80 bands."""
    return -(-n_frames // CELL), -(-n_mels // CELL)


def interpolation(count: int) -> np.ndarray:
    """Return the matrix (count, n) that interpolates between the middles of n cells, and is flat outside of them."""
    n = -(-count // CELL)
    places = np.clip((np.arange(count) + 0.5) / CELL - 0.5, 0, n - 1)
    return np.maximum(1 - np.abs(places[:, None] - np.arange(n)), 0).astype(np.float32)


def cell_means(maps: np.ndarray) -> np.ndarray:
    """Return the means of maps (..., F, n_mels) over their cells. The last cells may be smaller."""
    for axis in (-2, -1):
        firsts = np.arange(0, maps.shape[axis], CELL)
        sizes = np.diff([*firsts, maps.shape[axis]])
        maps = np.add.reduceat(maps, firsts, axis=axis) / np.expand_dims(sizes, 1 if axis == -2 else 0)
    return maps


def spread(cells: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return an array (F, n_mels) in which each number has the value of its cell."""
    return cells.repeat(CELL, axis=0).repeat(CELL, axis=1)[: shape[0], : shape[1]]
