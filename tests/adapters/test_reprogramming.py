"""A trained perturbation of the log-mel."""

import mlx.core as mx
import numpy as np
from mlx.utils import tree_flatten

from mlx_whisper_lora.adapters.inject import add_adapter, fuse_adapter
from mlx_whisper_lora.adapters.reprogramming import ReprogrammingConfig
from mlx_whisper_lora.whisper.model.whisper import Whisper
from tests.support.models import small_model


def reprogrammed(adapter_dim: int = 0) -> Whisper:
    model = small_model()
    mx.random.seed(0)
    add_adapter(model, ReprogrammingConfig(adapter_dim))
    return model


def test_one_number_for_each_band_and_frame_is_trained_and_starts_as_published():
    ((name, perturbation),) = tree_flatten(reprogrammed().trainable_parameters())
    assert (name, perturbation.shape) == ("encoder.perturbation", (3000, 80))
    assert abs(perturbation.mean().item() - 0.35) < 0.01 and abs(mx.std(perturbation).item() - 0.35) < 0.01


def test_it_is_added_to_the_window_and_to_the_silence_after_it_at_their_places():
    model, mel = reprogrammed(), mx.random.normal((2, 100, 80))
    change = model.encoder.perturbation
    plain = small_model().encoder
    np.testing.assert_allclose(model.encoder(mel), plain(mel + change[:100]), atol=1e-5)
    np.testing.assert_allclose(model.encoder(mel, 50), plain(mel + change[100:200], 50), atol=1e-5)


def test_it_stays_in_the_model():
    assert fuse_adapter(reprogrammed()) == ["encoder"]


def test_adapters_in_the_encoder_are_trained_with_it_and_start_without_effect():
    model, mel = reprogrammed(adapter_dim=4), mx.random.normal((1, 100, 80))
    np.testing.assert_array_equal(model.encoder(mel), reprogrammed().encoder(mel))
    trained = {
        name.removeprefix("encoder.encoder.blocks.0.mlp2.") for name, _ in tree_flatten(model.trainable_parameters())
    }
    assert {"encoder.perturbation", "down.weight", "norm.weight", "up.bias"} <= trained
    assert not any("linear" in name or name.startswith("decoder") for name in trained)
