"""MLX on a CPU: OpenBLAS, attention and the loss."""

import sys
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
import scipy

from mlx_whisper_lora.whisper.cpu import attention, cross_entropies, log_sum_exp, use_fast_blas

SCIPY_LIBRARIES = Path(scipy.__file__).parent.parent / "scipy.libs"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux only")
@pytest.mark.skipif(not list(SCIPY_LIBRARIES.glob("libscipy_openblas-*")), reason="SciPy without its own OpenBLAS")
@pytest.mark.skipif(mx.default_device() == mx.gpu, reason="CPU only")
def test_products_go_to_scipys_openblas():
    library = use_fast_blas()
    assert library is not None and "openblas" in library
    assert use_fast_blas() == library


@pytest.mark.parametrize("shape", [(1, 64, 1000), (37, 129, 65), (512, 384, 256)])
@pytest.mark.parametrize("transposed", [False, True])
def test_products_are_right(shape, transposed):
    use_fast_blas()
    m, k, n = shape
    random = np.random.default_rng(0)
    a, b = (
        random.standard_normal((m, k), np.float32),
        random.standard_normal((n, k) if transposed else (k, n), np.float32),
    )
    product = mx.array(a) @ (mx.array(b).T if transposed else mx.array(b))
    np.testing.assert_allclose(np.array(product), a @ (b.T if transposed else b), atol=1e-3)


def test_batches_and_sums_with_a_product_are_right():
    use_fast_blas()
    random = np.random.default_rng(0)
    a, b = random.standard_normal((3, 17, 33), np.float32), random.standard_normal((3, 33, 9), np.float32)
    c = random.standard_normal((3, 17, 9), np.float32)
    np.testing.assert_allclose(np.array(mx.array(a) @ mx.array(b)), a @ b, atol=1e-4)
    np.testing.assert_allclose(
        np.array(mx.addmm(mx.array(c), mx.array(a), mx.array(b), 0.5, 2.0)), 0.5 * a @ b + 2 * c, atol=1e-4
    )


def value_and_gradients(function, *arrays: mx.array) -> list[np.ndarray]:
    value, gradients = mx.value_and_grad(function, argnums=tuple(range(len(arrays))))(*arrays)
    return [np.array(each) for each in (value, *gradients)]


# All at once, some heads at a time, and some rows of one head.
@pytest.mark.parametrize(("queries", "keys"), [(5, 7), (20, 1500), (300, 500)])
def test_attention_and_its_gradients_are_mlxs(queries, keys):
    mx.random.seed(0)
    query, key, value = (mx.random.normal((2, 3, length, 8)) for length in (queries, keys, keys))

    def energy(attend):
        return lambda *arrays: (attend(*arrays) ** 2).sum()

    ours = value_and_gradients(energy(lambda *arrays: attention(*arrays, 0.3, None)), query, key, value)
    mlxs = value_and_gradients(
        energy(lambda *arrays: mx.fast.scaled_dot_product_attention(*arrays, scale=0.3)), query, key, value
    )
    for one, other in zip(ours, mlxs, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_small_numbers_count_beside_a_large_one():
    logits = np.full((2, 3, 51_865), -17.5, np.float32)  # a vocabulary; added to 1, exp(-17.5) is lost
    logits[..., 7] = 0
    logits[1, :, 1000:] = -np.inf
    expected = np.log1p(np.array([[51_864], [999]]) * np.exp(-17.5))[..., None].repeat(3, axis=1)
    np.testing.assert_allclose(log_sum_exp(mx.array(logits)), expected, rtol=0, atol=1e-5)
    assert log_sum_exp(mx.full((1, 9), -mx.inf)).item() == -np.inf


def test_cross_entropies_and_their_gradients_are_right():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 5, (6, 70_000)).astype(np.float32)  # more numbers than are taken at once
    logits[0, 3] = 300  # exp(300) is no float32
    labels, weights = np.array([3, 0, 69_999, 5, 5, 7]), np.arange(6, dtype=np.float32)
    exact = logits.astype(np.float64)
    exact -= exact.max(axis=1, keepdims=True)
    probabilities = np.exp(exact) / np.exp(exact).sum(axis=1, keepdims=True)
    expected = -np.log(probabilities[np.arange(6), labels])
    np.testing.assert_allclose(cross_entropies(mx.array(logits), mx.array(labels)), expected, rtol=1e-5, atol=1e-5)
    gradient = mx.grad(lambda x: (cross_entropies(x, mx.array(labels)) * mx.array(weights)).sum())(mx.array(logits))
    probabilities[np.arange(6), labels] -= 1
    np.testing.assert_allclose(gradient, probabilities * weights[:, None], atol=1e-5)
