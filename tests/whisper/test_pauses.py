"""Cutting recordings at their pauses."""

import numpy as np

from mlx_whisper_lora.whisper.pauses import Piece, cut_at_pauses, find_pauses


def energy_of(*stretches: tuple[int, float]) -> np.ndarray:
    """Frames and level of each stretch, a little noisy."""
    level = np.concatenate([np.full(n_frames, height) for n_frames, height in stretches])
    return level + 0.01 * np.random.default_rng(0).standard_normal(len(level))


def test_a_pause_is_long_and_quiet():
    energy = energy_of((100, 1.0), (10, 0.0), (100, 1.0), (50, 0.0), (100, 0.9), (50, 0.4), (100, 1.0), (40, 0.0))
    assert find_pauses(energy) == [(210, 260), (510, 550)]


def test_a_pause_lasts_until_it_is_loud_again():
    energy = energy_of((100, 1.0), (10, 0.0), (10, 0.25), (20, 0.0), (100, 1.0))
    assert find_pauses(energy) == [(100, 140)]


def test_no_sound_has_no_pauses():
    assert find_pauses(np.zeros(0)) == [] and cut_at_pauses(np.zeros(0), [], 3000) == []


def test_pieces_fit_a_window_and_leave_nothing_out():
    energy = energy_of((1000, 1.0), (100, 0.0), (1500, 1.0), (100, 0.0), (900, 1.0), (40, 0.0), (4000, 1.0), (200, 0.0))
    pieces = cut_at_pauses(energy, [(0, len(energy))], 3000)
    # Two stretches fit one window. The speech of 40 s has no pause: its piece is read by more windows than one.
    assert pieces == [Piece(0, 2670, 2600), Piece(2670, 3620, 3600), Piece(3620, 7840, 7640)]


def test_clips_are_cut_on_their_own():
    energy = energy_of((1000, 1.0), (100, 0.0), (1000, 1.0))
    pieces = cut_at_pauses(energy, [(100, 1050), (1050, 1080), (1500, 2000)], 500)
    assert pieces == [Piece(100, 1050, 1000), Piece(1050, 1080, 1000), Piece(1500, 2000, 2000)]
