"""Gradients times the distance from silence, and integrated gradients."""

import mlx.core as mx
import numpy as np
import pytest

from mlx_whisper_lora.explanation.gradients import gradient_maps, integrated_maps
from mlx_whisper_lora.explanation.replacement import silent
from mlx_whisper_lora.explanation.targets import Targets, transcript_targets

LINEAR = Targets(
    ["sum", "first band"], lambda mels: mx.stack([mels.sum(axis=(1, 2)), mels[..., 0].sum(axis=1)], axis=1)
)


@pytest.mark.parametrize("make", [gradient_maps, integrated_maps])
def test_a_sum_is_explained_by_the_distances_from_silence(make, mel):
    whole, first = make(LINEAR, mel)
    np.testing.assert_allclose(whole, mel - mel.min(), atol=1e-5)
    assert not first[:, 1:].any()


def test_integrated_gradients_sum_to_the_difference_of_scores(targets, mel):
    maps = integrated_maps(targets, mel)
    with_mel, with_silence = np.array(targets.scores(mx.array(np.stack([mel, silent(mel)]))))
    np.testing.assert_allclose(maps.sum(axis=(1, 2)), with_mel - with_silence, rtol=0.01)


def test_gradients_of_the_model_are_the_slopes_of_its_scores(demo, transcript, sentence):
    targets = transcript_targets(demo, transcript, [transcript.whole(), transcript.word(2)], len(sentence))
    maps = gradient_maps(targets, sentence)
    direction = sentence - silent(sentence)
    step = 1e-3
    before, after = np.array(
        targets.scores(mx.array(np.stack([sentence - step * direction, sentence + step * direction])))
    )
    np.testing.assert_allclose(maps.sum(axis=(1, 2)), (after - before) / (2 * step), rtol=0.02, atol=0.02)
