"""Perturbation masks, on targets whose places are known."""

import mlx.core as mx
import numpy as np

from mlx_whisper_lora.explanation.masks import mask_maps
from mlx_whisper_lora.explanation.targets import Targets
from tests.explanation.conftest import PLACES


def test_each_mask_keeps_the_place_of_its_target(targets, mel):
    for mask, place in zip(mask_maps(targets, mel, steps=60), PLACES, strict=True):
        inside = mask[place].mean()
        outside = (mask.sum() - mask[place].sum()) / (mask.size - mask[place].size)
        assert mask.min() >= 0 and mask.max() <= 1
        assert inside > 0.3 and outside < inside / 10


def test_a_seed_gives_the_same_mask_and_another_one_nearly_the_same(targets, mel):
    first, same, other = (mask_maps(targets, mel, steps=60, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(first, same)
    assert 0 < np.abs(first - other).mean() < 0.02


def test_targets_that_are_masked_together_have_the_masks_that_they_have_alone(targets, mel):
    late = Targets(["late"], lambda mels: targets.scores(mels)[:, 1:])
    np.testing.assert_allclose(mask_maps(targets, mel, steps=10)[1:], mask_maps(late, mel, steps=10), atol=1e-5)


def test_a_prediction_that_is_lost_in_half_of_a_clip_has_a_mask(mel):
    """There is no gradient in the middle between the clip and the blurred one, as of a classifier that is sure."""
    frames, bands = PLACES[0]

    def scores(mels: mx.array) -> mx.array:
        levels = mels[:, frames, bands].mean(axis=(1, 2))
        return mx.maximum(-mx.logaddexp(0, -100 * (levels - 0.9)), -3)[:, None]

    (mask,) = mask_maps(Targets(["early"], scores), mel, steps=60)
    assert mask[PLACES[0]].mean() > 0.5 > 10 * mask[PLACES[1]].mean()
