"""MLX on a Linux CPU: a fast BLAS for its matrix products, and fast exponentials in GELU, attention and loss.

The Linux wheel of MLX links the reference BLAS of netlib, which multiplies matrices about 25 times slower than the
machine can. SciPy's wheel, which this package depends on, carries OpenBLAS under prefixed names
(`scipy_cblas_sgemm`) with the C signatures that MLX calls. `use_fast_blas` points MLX's calls there: the dynamic
linker reaches an external function through a slot in the library's global offset table, and the slot is rewritten.
No compiler, no administrator rights and no file are needed.

MLX's `exp` and `erf` run at about 50 million elements a second on such a CPU, NumPy's `exp` ten times faster. Where
exponentials are most of the work, in the softmax of long attention and of a large vocabulary, NumPy computes them.
"""

import ctypes
import ctypes.util
import functools
import math
import mmap
import os
import struct
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
import numpy as np
from threadpoolctl import ThreadpoolController

ROUTINES = ("cblas_sgemm", "cblas_dgemm", "cblas_cgemm")
ADVICE = (
    "mlx_whisper_lora: no fast BLAS was found, so matrix products on this CPU will be about 25 times slower than "
    "they could be. Install SciPy from PyPI (pip install --force-reinstall scipy) or Debian's libopenblas0."
)
STRETCH = 256  # numbers that are added up one by one without harm
CACHED = 65536  # numbers that fit a core's cache, so that they come from memory once


@functools.cache
def use_fast_blas() -> str | None:
    """Route MLX's matrix products to OpenBLAS and return the path of the library now in use.

    Returns None where there is nothing to do (not Linux, or an MLX that does not import BLAS routines), and also,
    after a warning that says what to install, where no OpenBLAS can be had.
    """
    if not sys.platform.startswith("linux"):
        return None
    mlx_library = _loaded_library("libmlx.so")
    if mlx_library is None:
        return None
    path, base_address = mlx_library
    slots = _import_slots(path, ROUTINES)
    if not slots:
        return None
    openblas = _find_openblas()
    if openblas is None:
        warnings.warn(ADVICE, RuntimeWarning, stacklevel=2)
        return None
    library, prefix = openblas
    for routine, offset in slots.items():
        _write_pointer(base_address + offset, ctypes.cast(library[prefix + routine], ctypes.c_void_p).value or 0)
    return library._name


def _find_openblas() -> tuple[ctypes.CDLL, str] | None:
    """An OpenBLAS with 32-bit integers and the prefix of its names: SciPy's own, else the system's."""
    import scipy

    folder = Path(scipy.__file__).parent.parent / "scipy.libs"
    candidates = [(str(path), "scipy_") for path in sorted(folder.glob("libscipy_openblas-*"))]
    candidates += [(name, "") for name in ("libopenblas.so.0", ctypes.util.find_library("openblas")) if name]
    for name, prefix in candidates:
        try:
            library = ctypes.CDLL(name)
            for routine in ROUTINES:
                library[prefix + routine]
        except (OSError, AttributeError):
            continue
        return library, prefix
    return None


def _loaded_library(name: str) -> tuple[str, int] | None:
    """Path and base address of a shared library of this process."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        fields = line.split(maxsplit=5)
        if len(fields) == 6 and fields[5].endswith("/" + name) and int(fields[2], 16) == 0:
            return fields[5], int(fields[0].split("-")[0], 16)
    return None


def _import_slots(path: str, names: tuple[str, ...]) -> dict[str, int]:
    """Offsets of the pointers through which an ELF64 library calls the imported functions `names`.

    Reads the section headers, then the relocations: each names a symbol and the place its address goes
    (System V ABI, "Object Files").
    """
    data = Path(path).read_bytes()
    section_table, entry_size, count = *struct.unpack_from("<Q", data, 0x28), *struct.unpack_from("<HH", data, 0x3A)
    # name, type, flags, address, offset, size, link, info, alignment, entry size
    sections = [struct.unpack_from("<IIQQQQIIQQ", data, section_table + i * entry_size) for i in range(count)]
    slots = {}
    for _, kind, _, _, offset, size, link, _, _, _ in sections:
        if kind != 4:  # SHT_RELA
            continue
        symbols, strings = sections[link], sections[sections[link][6]]
        for place, info, _ in struct.iter_unpack("<QQq", data[offset : offset + size]):
            if info >> 32 == 0:
                continue
            (name_offset,) = struct.unpack_from("<I", data, symbols[4] + (info >> 32) * 24)
            start = strings[4] + name_offset
            name = data[start : data.index(b"\0", start)].decode()
            if name in names:
                slots[name] = place
    return slots


def _write_pointer(address: int, value: int) -> None:
    """Store `value` at `address`, which the linker may have made read-only (RELRO)."""
    page = mmap.PAGESIZE
    libc = ctypes.CDLL(None, use_errno=True)
    first = address - address % page
    if libc.mprotect(ctypes.c_void_p(first), ctypes.c_size_t(page), 1 | 2) != 0:  # PROT_READ | PROT_WRITE
        raise OSError(ctypes.get_errno(), "mprotect of MLX's offset table failed")
    ctypes.c_void_p.from_address(address).value = value


def share_cores(processes: int) -> None:
    """Leave each of several processes on this machine its part of the cores for matrix products."""
    path = use_fast_blas()
    if path is not None and processes > 1:
        cores = len(os.sched_getaffinity(0))
        prefix = "scipy_" if "scipy_openblas" in path else ""
        ctypes.CDLL(path)[prefix + "openblas_set_num_threads"](max(cores // processes, 1))


def gelu(x: mx.array) -> mx.array:
    """The exact Gaussian error linear unit x * Phi(x).

    On a CPU Phi is a rational function (largest error 4e-7) times x, computed by NumPy in parts that stay in cache;
    forward and gradient together take a fifth of the time that they take with MLX's `erf` and `exp`.
    """
    if mx.default_device() == mx.gpu:
        return nn.gelu(x)  # compiled into one kernel
    if x.dtype != mx.float32:
        return x * (0.5 * (1 + mx.erf(x * math.sqrt(0.5))))
    return _gelu(x)[0]


# erf(s) = s * P(s^2) / Q(s^2) for |s| < 3.9, beyond which float32 has erf = 1. The coefficients are a minimax fit:
# least squares on 4,000 Chebyshev nodes, reweighted by the error 60 times (Lawson's algorithm).
ERF_P = (1.1283790323914231, 0.19194142633768493, 0.052966974177290425, 0.0038368933145260242,
         0.0002874574896357919, 2.050382525615107e-06)  # fmt: skip
ERF_Q = (1.0, 0.503435438406569, 0.11475837402708701, 0.015109240105089492, 0.0011817382552654328,
         3.823070398215164e-05)  # fmt: skip


def _horner(x: np.ndarray, coefficients: tuple[float, ...]) -> np.ndarray:
    result = x * coefficients[-1]
    result += coefficients[-2]
    for coefficient in coefficients[-3::-1]:
        result *= x
        result += coefficient
    return result


@mx.custom_function
def _gelu(x: mx.array) -> tuple[mx.array, mx.array]:
    """x * Phi(x), and Phi(x) for the gradient to use."""
    numbers = np.array(x, copy=False).reshape(-1)
    phi = np.empty_like(numbers)
    for part in _slices(len(numbers)):
        s = np.clip(numbers[part] * np.float32(math.sqrt(0.5)), -3.9, 3.9)
        square = s * s
        erf = _horner(square, ERF_P)
        erf /= _horner(square, ERF_Q)
        erf *= s
        np.multiply(erf + 1, 0.5, out=phi[part])
    return mx.array((numbers * phi).reshape(x.shape)), mx.array(phi.reshape(x.shape))


@_gelu.vjp
def _gelu_vjp(x, cotangents, outputs):
    """d(x Phi)/dx = Phi + x * density."""
    numbers, phi = (np.array(array, copy=False).reshape(-1) for array in (x, outputs[1]))
    slope = np.empty_like(numbers)
    for part in _slices(len(numbers)):
        density = numbers[part] * numbers[part]
        density *= -0.5
        np.exp(density, out=density)
        density *= 1 / math.sqrt(2 * math.pi)
        density *= numbers[part]
        np.add(density, phi[part], out=slope[part])
    return cotangents[0] * mx.array(slope.reshape(x.shape))


def _slices(count: int) -> Iterator[slice]:
    return (slice(first, first + CACHED) for first in range(0, count, CACHED))


def attention(query: mx.array, key: mx.array, value: mx.array, scale: float, mask: mx.array | str | None) -> mx.array:
    """`mx.fast.scaled_dot_product_attention`, which it is, but for many unmasked float32 queries on a CPU."""
    slow = mx.default_device() == mx.cpu and query.dtype == mx.float32
    if not slow or mask is not None or query.shape[2] == 1:
        return mx.fast.scaled_dot_product_attention(query, key, value, scale=scale, mask=mask)
    return _attention(query * scale, key, value)


def _one_thread(function: Callable) -> Callable:
    """The function with products of NumPy's on one thread: those of a cacheful are too small to be shared. Numbers that
    are not finite go through as they do in MLX, without a warning."""

    @functools.wraps(function)
    def limited(*arrays):
        with _blas_controller().limit(limits=1), np.errstate(invalid="ignore", over="ignore"):
            return function(*arrays)

    return limited


@functools.cache
def _blas_controller() -> ThreadpoolController:
    return ThreadpoolController()


@mx.custom_function
@_one_thread
def _attention(query: mx.array, key: mx.array, value: mx.array) -> mx.array:
    """softmax(query @ key^T) @ value, a part of the scores at a time, which are never all in memory."""
    q, k, v = (_heads(array) for array in (query, key, value))
    output = np.empty(q.shape, np.float32)
    for heads, rows in _parts(len(q), q.shape[1], k.shape[1]):
        output[heads, rows] = _softmax(q[heads, rows] @ k[heads].swapaxes(1, 2)) @ v[heads]
    return mx.array(output.reshape(query.shape))


@_attention.vjp
@_one_thread
def _attention_vjp(inputs, cotangent, output):
    """The gradients, the probabilities being computed once more (Dao et al. 2022)."""
    q, k, v, d, o = (_heads(array) for array in (*inputs, cotangent, output))
    dq, dk, dv = np.empty(q.shape, np.float32), np.zeros(k.shape, np.float32), np.zeros(v.shape, np.float32)
    for heads, rows in _parts(len(q), q.shape[1], k.shape[1]):
        part = (heads, rows)
        probabilities = _softmax(q[part] @ k[heads].swapaxes(1, 2))
        dv[heads] += probabilities.swapaxes(1, 2) @ d[part]
        scores = d[part] @ v[heads].swapaxes(1, 2)
        scores -= (d[part] * o[part]).sum(axis=-1, keepdims=True)
        scores *= probabilities
        dq[part] = scores @ k[heads]
        dk[heads] += scores.swapaxes(1, 2) @ q[part]
    return tuple(mx.array(made.reshape(array.shape)) for made, array in zip((dq, dk, dv), inputs, strict=True))


def _heads(array: mx.array) -> np.ndarray:
    """(B, heads, T, D) as (B * heads, T, D)."""
    return np.ascontiguousarray(np.array(array, copy=False).reshape(-1, *array.shape[2:]))


def _parts(heads: int, queries: int, keys: int) -> Iterator[tuple[slice, slice]]:
    """Slices of heads and of queries whose scores fit a core's cache: some rows of one head, or several heads."""
    some_heads, some_rows = max(CACHED // (queries * keys), 1), max(CACHED // keys, 1)
    for head in range(0, heads, some_heads):
        for row in range(0, queries, some_rows):
            yield slice(head, head + some_heads), slice(row, row + some_rows)


def _softmax(scores: np.ndarray) -> np.ndarray:
    """The softmax over the last axis, in place."""
    scores -= scores.max(axis=-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=-1, keepdims=True)
    return scores


def log_sum_exp(x: mx.array) -> mx.array:
    """`mx.logsumexp` over the last axis, which stays with length 1.

    A CPU adds up long rows in a few running sums, where small numbers are lost beside a large one: of probabilities of
    a whole vocabulary one in a thousand. There, sums of short stretches are added up.
    """
    if mx.default_device() == mx.gpu:
        return mx.logsumexp(x, axis=-1, keepdims=True)
    padding = [(0, 0)] * (x.ndim - 1) + [(0, -x.shape[-1] % STRETCH)]
    stretches = mx.pad(x, padding, constant_values=-mx.inf).reshape(*x.shape[:-1], -1, STRETCH)
    return mx.logsumexp(mx.logsumexp(stretches, axis=-1), axis=-1, keepdims=True)


def cross_entropies(logits: mx.array, labels: mx.array) -> mx.array:
    """The cross-entropy of each of `labels` (N,), in nats, from float32 `logits` (N, V)."""
    if mx.default_device() == mx.gpu:
        return nn.losses.cross_entropy(logits, labels)
    return _cross_entropies(logits, labels)[0]


@mx.custom_function
def _cross_entropies(logits: mx.array, labels: mx.array) -> tuple[mx.array, mx.array]:
    """The cross-entropies, and the probabilities (N, V) for the gradient to use."""
    scores = np.array(logits, copy=False)
    probabilities, log_sums = np.empty_like(scores), np.empty(len(scores), np.float32)
    step = max(CACHED // scores.shape[-1], 1)
    for first in range(0, len(scores), step):
        part = slice(first, first + step)
        largest = scores[part].max(axis=-1, keepdims=True)
        exponentials = np.subtract(scores[part], largest, out=probabilities[part])
        np.exp(exponentials, out=exponentials)
        sums = exponentials.sum(axis=-1, keepdims=True)
        exponentials /= sums
        log_sums[part] = (largest + np.log(sums))[:, 0]
    chosen = mx.take_along_axis(logits, labels[:, None], axis=-1)[:, 0]
    return mx.array(log_sums) - chosen, mx.array(probabilities)


@_cross_entropies.vjp
def _cross_entropies_vjp(inputs, cotangents, outputs):
    labels, cotangent = inputs[1], cotangents[0][:, None]
    gradient = outputs[1] * cotangent
    rows = mx.arange(len(labels))
    return gradient.at[rows, labels].subtract(cotangent[:, 0]), mx.zeros_like(labels)
