"""MLX on a Linux CPU with OpenBLAS."""

import sys
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
import scipy

from mlx_whisper_lora.whisper.cpu import use_fast_blas

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
