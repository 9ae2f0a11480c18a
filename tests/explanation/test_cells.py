"""Cells of 8 frames by 8 bands."""

import numpy as np

from mlx_whisper_lora.explanation.cells import cell_means, interpolation, n_cells, spread


def test_a_window_of_30_s_has_375_by_10_cells():
    assert n_cells(3000, 80) == (375, 10)
    assert n_cells(3000, 128) == (375, 16)
    assert n_cells(1, 80) == (1, 10)


def test_the_last_cells_may_be_smaller():
    values = np.arange(10 * 16, dtype=np.float32).reshape(10, 16)
    means = cell_means(values)
    assert means.shape == (2, 2)
    assert means[0, 1] == values[:8, 8:].mean() and means[1, 0] == values[8:, :8].mean()
    assert np.array_equal(cell_means(spread(means, values.shape)), means)


def test_values_between_the_middles_of_cells_are_interpolated():
    line = interpolation(24) @ [0.0, 1.0, 0.0]
    assert line[0] == line[3] == line[20] == 0 and line[11] == line[12] == 0.9375
    np.testing.assert_allclose(np.diff(line[4:12]), 1 / 8)
