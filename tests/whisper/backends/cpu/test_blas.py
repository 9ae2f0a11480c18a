"""OpenBLAS in place of the reference BLAS in MLX's Linux wheel."""

import sys
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
import scipy

from mlx_whisper_lora.whisper.backends.cpu.blas import use_fast_blas
from tests.support.processes import run_python

SCIPY_LIBRARIES = Path(scipy.__file__).parent.parent / "scipy.libs"
LINUX_CPU = sys.platform.startswith("linux") and mx.default_device() == mx.cpu
SCIPY_HAS_ONE = bool(list(SCIPY_LIBRARIES.glob("libscipy_openblas-*")))

# Prints whether MLX's products go to OpenBLAS: after the imports, and once there is a model.
WHEN_IS_IT_PATCHED = """
from mlx_whisper_lora.whisper.model import ops
from mlx_whisper_lora.whisper.model.whisper import ModelDimensions, Whisper
from mlx_whisper_lora.whisper.backends.cpu import blas

print(blas.use_fast_blas.cache_info().currsize)
Whisper(ModelDimensions(80, 4, 4, 1, 1, 8, 4, 4, 1, 1))
print(blas.use_fast_blas.cache_info().currsize)
"""


@pytest.mark.skipif(not LINUX_CPU, reason="for a Linux CPU")
@pytest.mark.skipif(not SCIPY_HAS_ONE, reason="SciPy without its own OpenBLAS")
def test_products_go_to_scipys_openblas():
    library = use_fast_blas()
    assert library is not None and "openblas" in library
    assert use_fast_blas() == library


@pytest.mark.slow
@pytest.mark.parametrize(
    ("environment", "expected"), [({}, ["0", "1"]), ({"MLX_WHISPER_LORA_BLAS": "off"}, ["0", "0"])]
)
def test_a_model_patches_the_process_and_an_import_does_not(environment, expected):
    assert run_python("-c", WHEN_IS_IT_PATCHED, **environment).out.split() == expected


@pytest.mark.parametrize("shape", [(1, 64, 1000), (37, 129, 65), (512, 384, 256)])
@pytest.mark.parametrize("transposed", [False, True])
def test_products_are_right(shape, transposed):
    use_fast_blas()
    m, k, n = shape
    random = np.random.default_rng(0)
    a = random.standard_normal((m, k), np.float32)
    b = random.standard_normal((n, k) if transposed else (k, n), np.float32)
    product = mx.array(a) @ (mx.array(b).T if transposed else mx.array(b))
    np.testing.assert_allclose(np.array(product), a @ (b.T if transposed else b), atol=1e-3)


def test_batches_and_sums_with_a_product_are_right():
    use_fast_blas()
    random = np.random.default_rng(0)
    a, b = random.standard_normal((3, 17, 33), np.float32), random.standard_normal((3, 33, 9), np.float32)
    c = random.standard_normal((3, 17, 9), np.float32)
    np.testing.assert_allclose(np.array(mx.array(a) @ mx.array(b)), a @ b, atol=1e-4)
    added = mx.addmm(mx.array(c), mx.array(a), mx.array(b), 0.5, 2.0)
    np.testing.assert_allclose(np.array(added), 0.5 * a @ b + 2 * c, atol=1e-4)
