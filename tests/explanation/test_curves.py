"""Deletion and insertion, on targets whose places are known."""

import numpy as np

from mlx_whisper_lora.explanation.curves import N_RANDOM, SHARES, Curves, area, measure_curves, random_maps
from tests.explanation.conftest import PLACES


def maps_of_places(mel: np.ndarray) -> np.ndarray:
    """Return the maps that a perfect method would make."""
    maps = np.zeros((2, *mel.shape), np.float32)
    for each, place in zip(maps, PLACES, strict=True):
        each[place] = 1
    return maps


def test_perfect_maps_are_better_than_random_ones(targets, mel):
    for curves in measure_curves(targets, mel, maps_of_places(mel)):
        assert curves.passes == {"deletion": True, "insertion": True}
        assert area(curves.deletion) < 0.2 and area(curves.insertion) > 0.8
        assert curves.verdict == "This map is better than 3 random ones in deletion and insertion."


def test_the_map_of_another_target_is_worth_nothing(targets, mel):
    for curves in measure_curves(targets, mel, maps_of_places(mel)[::-1]):
        assert curves.verdict == "This map is no better than a random one."


def test_curves_begin_and_end_with_the_clip_and_with_silence(targets, mel):
    (curves, _) = measure_curves(targets, mel, maps_of_places(mel))
    assert curves.deletion.shape == (len(SHARES),) and curves.random_deletion.shape == (N_RANDOM, len(SHARES))
    assert curves.deletion[0] == curves.insertion[-1] > 0.99
    assert curves.deletion[-1] == curves.insertion[0] < 0.01


def test_a_map_that_passes_one_test_is_said_to_fail_the_other():
    falling, rising = np.linspace(1, 0, len(SHARES)), np.linspace(0, 1, len(SHARES))
    curves = Curves(falling**2, rising**2, np.stack([falling] * N_RANDOM), np.stack([rising] * N_RANDOM))
    assert (
        curves.verdict
        == "This map is better than 3 random ones in deletion, and no better than a random one in insertion."
    )


def test_random_maps_are_as_smooth_as_the_maps():
    maps = np.add.accumulate(np.random.default_rng(0).standard_normal((3, 40, 10)), axis=1)
    spectra, others = (np.abs(np.fft.rfft2(each)) for each in (maps[:1], random_maps(maps[:1], 4, seed=0)))
    for other in others:
        correlation = np.corrcoef(spectra[0].ravel(), other.ravel())[0, 1]
        assert correlation > 0.95
    assert not np.array_equal(*random_maps(maps, 2, seed=0))
    assert np.array_equal(random_maps(maps, 2, seed=3), random_maps(maps, 2, seed=3))
