"""The cache of the encoder's frozen blocks."""

from dataclasses import replace

import mlx.core as mx
import numpy as np
import pytest

from mlx_whisper_lora.adapters.inject import add_adapter
from mlx_whisper_lora.adapters.lora import LoRAConfig
from mlx_whisper_lora.data.dataset import Example
from mlx_whisper_lora.training.callbacks import Callback
from mlx_whisper_lora.training.encoder_cache import EncoderCache, frozen_blocks
from mlx_whisper_lora.training.loop import train
from mlx_whisper_lora.training.options import TrainingOptions
from mlx_whisper_lora.whisper.model.ops import compiles
from mlx_whisper_lora.whisper.model.whisper import Whisper
from tests.support.models import small_model


class Losses(Callback):
    def __init__(self):
        self.losses = []

    def step(self, report):
        self.losses.append(report.loss)


def adapted_model(**settings) -> Whisper:
    model = small_model()
    mx.random.seed(0)
    add_adapter(model, LoRAConfig(rank=2, **settings))
    return model


def examples() -> list[Example]:
    rng = np.random.default_rng(0)
    mels = [rng.standard_normal((60 + 30 * i, 80)).astype(np.float32) for i in range(4)]
    return [Example(mel, (50258, 50259, 50359, 7 + i, 50257), 3) for i, mel in enumerate(mels)]


def losses(model: Whisper, n_blocks: int | None, limit: float = 0) -> list[float]:
    options = TrainingOptions(
        iters=12, batch_size=2, learning_rate=1e-2, steps_per_report=1, steps_per_eval=12, full_context_share=0.2
    )
    cache, callback = EncoderCache(model, n_blocks, limit), Losses()
    train(model, examples(), options, lambda iteration: None, callback, cache.collate, cache.loss)
    return callback.losses


@pytest.mark.parametrize(
    ("settings", "expected"),
    [({"layers": 1}, 1), ({"layers": -1}, 0), ({"encoder_layers": 0}, 2), ({"encoder_layers": 0, "layers": 1}, 2)],
)
def test_the_blocks_before_the_first_adapted_one_are_frozen(settings, expected):
    assert frozen_blocks(adapted_model(**settings).encoder) == expected


def test_nothing_is_frozen_if_the_convolutions_are_trained():
    model = adapted_model(layers=1)
    model.encoder.conv2.unfreeze()
    assert frozen_blocks(model.encoder) is None


@pytest.mark.parametrize("settings", [{"layers": 1}, {"encoder_layers": 0}, {"layers": -1}])
@pytest.mark.parametrize("limit", [1e9, 20_000, 0])  # bytes: all states, some, none
def test_losses_are_those_without_a_cache(settings, limit):
    model = adapted_model(**settings)
    expected = losses(adapted_model(**settings), n_blocks=None)
    assert expected[-1] < expected[0]
    np.testing.assert_allclose(losses(model, frozen_blocks(model.encoder), limit), expected, rtol=2e-3)


def test_each_window_is_computed_once(monkeypatch):
    model, computed = adapted_model(layers=1), []
    lower = type(model.encoder).lower
    monkeypatch.setattr(
        type(model.encoder),
        "lower",
        lambda encoder, mel, n_blocks=0, first=0: (
            first or computed.append(len(mel)),
            lower(encoder, mel, n_blocks, first),
        )[1],
    )
    cache, clips = EncoderCache(model, 1, 1e9), examples()
    first = cache.collate(clips[:2], 200)
    again = cache.collate([clips[1], clips[0].with_timestamps(), clips[2]], 200)
    assert computed == ([2, 1] if compiles() else [1, 1, 1])  # on a CPU, one by one
    np.testing.assert_array_equal(again.states[0], first.states[1])
    cache.collate(clips[:1], 3000)
    assert sum(computed) == 4


def test_a_window_that_is_drawn_for_one_step_is_not_kept():
    """Its log-mel may have the number in memory of an older one, as the same array has here."""
    model = adapted_model(layers=1)
    cache, (clip, *_) = EncoderCache(model, 1, 1e9), examples()
    once = replace(clip, once=True)
    cache.collate([once], 200)
    clip.mel[:] = 0.5
    kept = cache.collate([clip], 200)
    clip.mel[:] = -0.5
    np.testing.assert_array_equal(cache.collate([clip], 200).states, kept.states)
    expected = EncoderCache(model, 1, 0).collate([once], 200)
    np.testing.assert_allclose(cache.collate([once], 200).states, expected.states, atol=2e-2)
