"""The gradients of a batch, in pieces and on several cores."""

import shutil

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest
from mlx.utils import tree_flatten

from mlx_whisper_lora.adapters.inject import add_adapter
from mlx_whisper_lora.adapters.lora import LoRAConfig
from mlx_whisper_lora.data.batches import make_batch
from mlx_whisper_lora.training import gradients
from mlx_whisper_lora.training.gradients import PiecewiseGradients
from mlx_whisper_lora.training.loss import cross_entropy_loss
from mlx_whisper_lora.whisper.backends.cpu import threads
from mlx_whisper_lora.whisper.model import ops
from mlx_whisper_lora.whisper.model.whisper import Whisper
from tests.support.clips import noise_examples
from tests.support.models import small_model
from tests.support.processes import run_python

FRAMES = 200


def adapted_model(dropout: float = 0.0) -> Whisper:
    model = small_model()
    mx.random.seed(0)
    add_adapter(model, LoRAConfig(rank=2, dropout=dropout))
    for name, array in tree_flatten(model.trainable_parameters()):
        if name.endswith("lora_b"):
            array[:] = mx.random.normal(array.shape) * 0.1  # B is zero in a new adapter, and so is the gradient of A
    return model


@pytest.fixture(params=[1, 2, 3])
def cores(request, monkeypatch) -> int:
    """As many cores as there may be, whatever OPENBLAS_NUM_THREADS says."""
    monkeypatch.setattr(threads, "n_threads", lambda: request.param)
    return request.param


@pytest.mark.parametrize("piece_frames", [FRAMES, 2 * FRAMES])  # one clip or two
@pytest.mark.skipif(mx.default_device() == mx.gpu, reason="a GPU computes whole batches")
def test_the_sums_over_pieces_are_those_of_the_batch(cores, piece_frames, monkeypatch):
    monkeypatch.setattr(gradients, "_PIECE_FRAMES", piece_frames)
    model, examples = adapted_model(), noise_examples(5)
    expected_loss, expected = nn.value_and_grad(model, cross_entropy_loss)(model, make_batch(examples, FRAMES))
    mx.eval(expected_loss, expected)
    loss, found = PiecewiseGradients(model, make_batch, cross_entropy_loss)(examples, FRAMES)
    assert loss.item() == pytest.approx(expected_loss.item(), rel=1e-5)
    found = dict(tree_flatten(found))
    for name, gradient in tree_flatten(expected):
        np.testing.assert_allclose(found[name], gradient, atol=1e-4 * np.abs(gradient).max() + 1e-7, err_msg=name)


@pytest.mark.skipif(mx.default_device() == mx.gpu, reason="a GPU computes whole batches")
def test_dropout_is_the_same_in_every_run_on_several_cores(cores):
    def losses() -> list[float]:
        piecewise = PiecewiseGradients(adapted_model(dropout=0.5).train(), make_batch, cross_entropy_loss)
        mx.random.seed(1)
        return [piecewise(noise_examples(5), FRAMES)[0].item() for _ in range(3)]

    first = losses()
    assert losses() == first
    assert len(set(first)) == 3


def test_an_error_on_another_core_arrives(cores):
    def fail(part: int) -> int:
        if part == 2:
            raise FloatingPointError("the third part")
        return part

    assert ops.side_by_side(lambda part: -part, range(4)) == [0, -1, -2, -3]
    with pytest.raises(FloatingPointError, match="the third part"):
        ops.side_by_side(fail, range(4))


COMPILED = """
import functools, mlx.core as mx
from mlx_whisper_lora.training import loop
from mlx_whisper_lora.data import batches
from tests.training.test_loop import run
def losses(compiled, **settings):
    loop.compiles = batches.compiles = lambda: compiled
    return [report.loss for report in run(iters=4, full_context_share=0.3, audio_context=0.0, **settings)]
plain = losses(False, batch_size=4)
for found in (losses(True, batch_size=4), losses(True, batch_size=2, grad_accumulation_steps=2)):
    print(max(abs(a - b) for a, b in zip(found, plain, strict=True)))
"""


@pytest.mark.slow
@pytest.mark.skipif(mx.default_device() == mx.cpu and not shutil.which("g++"), reason="MLX compiles for a CPU with g++")
def test_the_compiled_step_gives_the_losses_of_the_plain_one_also_of_several_batches():
    outcome = run_python("-c", COMPILED, MLX_WHISPER_LORA_OPS="mlx")
    assert outcome.code == 0, outcome.err
    assert len(outcome.out.split()) == 2 and all(float(each) < 1e-4 for each in outcome.out.split())
