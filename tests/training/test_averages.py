"""Averages of weights over training."""

import mlx.core as mx
import numpy as np
import pytest

from mlx_whisper_lora.adapters.inject import add_adapter
from mlx_whisper_lora.adapters.lora import LoRAConfig
from mlx_whisper_lora.training.averages import Averages
from mlx_whisper_lora.training.options import TrainingOptions
from tests.support.models import small_model


@pytest.fixture
def model():
    model = small_model()
    add_adapter(model, LoRAConfig(layers=1, targets=("attn.query",)))
    return model


def weight(model) -> float:
    return model.decoder.blocks[1].attn.query.lora_b[0, 0].item()


def set_weight(model, number: float) -> None:
    model.decoder.blocks[1].attn.query.lora_b = mx.full(model.decoder.blocks[1].attn.query.lora_b.shape, float(number))


def test_the_moving_average_forgets_the_start_and_then_goes_by_its_decay(model):
    averages = Averages(model, TrainingOptions(ema=0.5))
    expected = 0.0
    for step in range(1, 15):
        set_weight(model, step)
        averages.add_step()
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
    with averages.moving_in_model():
        assert weight(model) == pytest.approx(expected)
    assert weight(model) == 14


def test_the_mean_is_that_of_the_last_adapters_and_all_goes_on_from_its_arrays(model):
    averages = Averages(model, TrainingOptions(average_last=3, ema=0.9))
    for number in (100.0, 1.0, 2.0, 6.0):
        set_weight(model, number)
        averages.add_step()
        averages.add_checkpoint()
    later = Averages(model, TrainingOptions(average_last=3, ema=0.9))
    later.restore({name: mx.array(np.array(array)) for name, array in averages.arrays.items()})
    for each in (averages, later):
        assert each.n_checkpoints == 3
        with each.mean_in_model():
            assert weight(model) == 3.0
    set_weight(model, 5.0)
    found = []
    for each in (averages, later):
        each.add_step()
        with each.moving_in_model():
            found.append(weight(model))
    assert found[0] == found[1] != 5.0


def test_without_averages_the_model_keeps_its_weights(model):
    averages = Averages(model, TrainingOptions())
    averages.add_step()
    averages.add_checkpoint()
    set_weight(model, 2.0)
    with averages.moving_in_model():
        assert weight(model) == 2.0
    assert averages.n_checkpoints == 0 and averages.arrays == {}
