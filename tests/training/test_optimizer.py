"""Arrays with a learning rate of their own."""

import mlx.core as mx
import mlx.optimizers as optim
import pytest

from mlx_whisper_lora.adapters.inject import add_adapter
from mlx_whisper_lora.adapters.lora import LoRAConfig
from mlx_whisper_lora.training.callbacks import Callback
from mlx_whisper_lora.training.loop import train
from mlx_whisper_lora.training.optimizer import make_optimizer
from mlx_whisper_lora.training.options import OPTIMIZERS, TrainingOptions
from tests.support.clips import noise_examples
from tests.support.models import small_model
from tests.support.training import training_hooks

OPTIONS = TrainingOptions(iters=5, warmup=1, learning_rate=0.1, weight_decay=0.5).resolve(2)


def updated(optimizer: optim.Optimizer) -> dict:
    """Return two blocks of parameters after three steps."""
    parameters = {"blocks": [{"lora_a": mx.array([1.0, 2.0]), "lora_b": mx.array([3.0])} for _ in range(2)]}
    for step in (1.0, -0.3, 0.2):
        gradients = {"blocks": [{"lora_a": step * mx.array([1.0, -2.0]), "lora_b": mx.array([step])}] * 2}
        parameters = optimizer.apply_gradients(gradients, parameters)
    return parameters


def test_an_array_with_a_factor_moves_as_with_that_learning_rate():
    """Scaled gradients would not do: AdamW divides by their size."""
    both = updated(make_optimizer(OPTIONS, {"lora_b": 4.0}))
    slow, fast = (
        updated(make_optimizer(TrainingOptions(iters=5, warmup=1, learning_rate=rate, weight_decay=0.5), {}))
        for rate in (0.1, 0.4)
    )
    for block, plain, quick in zip(both["blocks"], slow["blocks"], fast["blocks"], strict=True):
        assert block["lora_a"].tolist() == pytest.approx(plain["lora_a"].tolist())
        assert block["lora_b"].tolist() == pytest.approx(quick["lora_b"].tolist())
        assert block["lora_b"].tolist() != pytest.approx(plain["lora_b"].tolist(), rel=1e-2)


def test_the_rate_that_is_reported_is_that_of_the_other_arrays():
    rates = []

    class Recorder(Callback):
        def step(self, report):
            rates.append(report.learning_rate)

    model = small_model()
    add_adapter(model, LoRAConfig(rank=2, layers=1))
    options = TrainingOptions(iters=1, warmup=0, learning_rate=1e-3)
    hooks = training_hooks(model)
    train(model, noise_examples(2), options, lambda _: None, Recorder(), *hooks, rate_factors={"lora_b": 16.0})
    assert rates == [pytest.approx(1e-3)]
    assert mx.abs(model.decoder.blocks[1].mlp2.lora_b).max().item() == pytest.approx(16e-3, rel=1e-3)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_optimizer_goes_down_a_valley_at_its_own_rate(name):
    """A vector and a matrix, of which one has a rate of its own."""
    options = TrainingOptions(iters=300, optimizer=name, learning_rate=0.1 * OPTIMIZERS[name], weight_decay=0.0)
    optimizer = make_optimizer(options.resolve(2), {"slow": 1e-9})
    start = {
        "matrix": mx.random.uniform(-1, 1, (4, 8), key=mx.random.key(0)),
        "vector": mx.ones(3),
        "slow": mx.ones((2, 2)),
    }
    parameters = start
    for _ in range(300):
        parameters = optimizer.apply_gradients({key: 2 * array for key, array in parameters.items()}, parameters)
    assert mx.abs(parameters["matrix"]).max() < 0.3 and mx.abs(parameters["vector"]).max() < 0.3
    assert mx.allclose(parameters["slow"], start["slow"], atol=1e-5)
