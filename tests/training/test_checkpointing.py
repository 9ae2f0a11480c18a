"""Blocks that are computed again in the backward pass."""

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest
from mlx.utils import tree_flatten

from mlx_whisper_lora.adapters.inject import add_adapter
from mlx_whisper_lora.adapters.lora import LoRAConfig
from mlx_whisper_lora.data.batches import make_batch
from mlx_whisper_lora.training import checkpointing
from mlx_whisper_lora.training.checkpointing import checkpoint_blocks
from mlx_whisper_lora.training.encoder_cache import EncoderCache, frozen_blocks
from mlx_whisper_lora.training.gradients import PiecewiseGradients
from mlx_whisper_lora.training.loss import cross_entropy_loss
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.option import OptionError
from tests.support.clips import noise_examples
from tests.support.models import small_model

FRAMES = 200
on_a_cpu = pytest.mark.skipif(mx.default_device() == mx.gpu, reason="a GPU has its own way")


def adapted_model(dropout: float = 0.0, layers: int = -1, **changes) -> Whisper:
    model = small_model(**changes)
    mx.random.seed(0)
    add_adapter(model, LoRAConfig(rank=2, layers=layers, dropout=dropout))
    for name, array in tree_flatten(model.trainable_parameters()):
        if name.endswith("lora_b"):
            array[:] = mx.random.normal(array.shape) * 0.1
    return model.train()


def assert_same_gradients(found: dict, expected: dict) -> None:
    found = dict(tree_flatten(found))
    for name, gradient in tree_flatten(expected):
        np.testing.assert_allclose(found[name], gradient, atol=1e-5 * np.abs(gradient).max() + 1e-7, err_msg=name)


@pytest.mark.parametrize("layers", [1, -1])
@on_a_cpu
def test_a_step_on_several_cores_has_the_same_loss_and_gradients_with_dropout_too(layers):
    """With windows and silence, as in a run."""

    def sums(checkpointed: bool) -> tuple:
        model = adapted_model(dropout=0.3, layers=layers)
        if checkpointed:
            checkpoint_blocks(model)
        cache = EncoderCache(model, frozen_blocks(model.encoder), 0)
        mx.random.seed(1)
        return PiecewiseGradients(model, cache.collate, cache.loss)(noise_examples(5), FRAMES)

    (loss, expected), (again, found) = sums(False), sums(True)
    assert again.item() == loss.item()
    assert_same_gradients(found, expected)


@pytest.mark.parametrize("compiled", [False, True])
def test_all_weights_have_the_same_gradients(compiled, monkeypatch):
    monkeypatch.setattr(checkpointing, "compiles", lambda: compiled)
    model, batch = small_model().train(), make_batch(noise_examples(2), FRAMES)
    loss, expected = nn.value_and_grad(model, cross_entropy_loss)(model, batch)
    mx.eval(loss, expected)
    checkpoint_blocks(model)
    again, found = nn.value_and_grad(model, cross_entropy_loss)(model, batch)
    assert again.item() == pytest.approx(loss.item(), rel=1e-6)
    assert_same_gradients(found, expected)


@on_a_cpu
def test_a_step_takes_the_memory_of_one_block():
    def peak(checkpointed: bool) -> int:
        model, batch = adapted_model(n_audio_layer=24), make_batch(noise_examples(2), 1000)
        if checkpointed:
            checkpoint_blocks(model)
        mx.eval(model.parameters(), list(batch))
        before = mx.get_active_memory()
        mx.reset_peak_memory()
        mx.eval(nn.value_and_grad(model, cross_entropy_loss)(model, batch))
        return mx.get_peak_memory() - before

    assert peak(True) < peak(False) / 2


def test_dropout_is_refused_where_the_step_is_compiled(monkeypatch):
    monkeypatch.setattr(checkpointing, "compiles", lambda: True)
    with pytest.raises(OptionError, match="grad_checkpoint and dropout exclude each other on a GPU"):
        checkpoint_blocks(small_model(), LoRAConfig(dropout=0.1))
