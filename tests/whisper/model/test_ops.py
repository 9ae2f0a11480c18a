"""The operations, with any backend, and the choice of a backend."""

import mlx.core as mx
import numpy as np
import pytest

from mlx_whisper_lora.whisper.model.ops import cross_entropies, log_sum_exp
from tests.support.processes import run_python


def test_small_numbers_are_not_lost_beside_a_large_one():
    logits = np.full((2, 3, 51_865), -17.5, np.float32)  # a vocabulary; added to 1, exp(-17.5) is lost
    logits[..., 7] = 0
    logits[1, :, 1000:] = -np.inf
    expected = np.log1p(np.array([[51_864], [999]]) * np.exp(-17.5))[..., None].repeat(3, axis=1)
    np.testing.assert_allclose(log_sum_exp(mx.array(logits)), expected, rtol=0, atol=1e-5)
    assert log_sum_exp(mx.full((1, 9), -mx.inf)).item() == -np.inf


def test_cross_entropies_and_their_gradients_are_right():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 5, (6, 70_000)).astype(np.float32)  # more numbers than are taken at once
    logits[0, 3] = 300  # exp(300) is too large for float32
    labels = np.array([3, 0, 69_999, 5, 5, 7])
    exact = logits.astype(np.float64)
    exact -= exact.max(axis=1, keepdims=True)
    probabilities = np.exp(exact) / np.exp(exact).sum(axis=1, keepdims=True)
    expected = -np.log(probabilities[np.arange(6), labels])
    losses, gradient = cross_entropies(mx.array(logits), mx.array(labels))
    np.testing.assert_allclose(losses, expected, rtol=1e-5, atol=1e-5)
    probabilities[np.arange(6), labels] -= 1
    np.testing.assert_allclose(gradient, probabilities, atol=1e-6)


@pytest.mark.slow
def test_an_unknown_backend_is_refused_in_one_line():
    outcome = run_python("-m", "mlx_whisper_lora.lora", "--test", MLX_WHISPER_LORA_OPS="cuda")
    assert outcome.code == 1
    assert outcome.err.splitlines()[-1].endswith(
        "the environment variable MLX_WHISPER_LORA_OPS must be 'mlx' or unset, got 'cuda'"
    )


@pytest.mark.slow
def test_the_list_of_languages_loads_neither_mlx_nor_numpy():
    code = "import sys, mlx_whisper_lora.whisper.text.languages; print({'mlx', 'numpy'} & {*sys.modules})"
    assert run_python("-c", code).out.strip() == "set()"
