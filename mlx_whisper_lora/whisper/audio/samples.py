"""Samples in memory: arrays of any kind become float32 in [-1, 1]."""

from typing import Any

import mlx.core as mx
import numpy as np

from mlx_whisper_lora.whisper.audio.errors import AudioError

LOUDEST = 2.0  # 1 is full scale; filters and lossy formats overshoot it a little
_FULL_SCALES = {"int8": 2**7, "int16": 2**15, "int32": 2**31}


def to_samples(array: Any) -> np.ndarray:
    """Convert 16 kHz samples in an array or a list to float32.

    int8, int16 and int32 are divided by their full scale; 128 is silence in uint8.

    Args:
        array: A NumPy or MLX array, a list of floats, or another object that NumPy can convert, shape (n_samples,).

    Returns:
        Float32 samples, shape (n_samples,).

    Raises:
        AudioError: The samples have another type or more than one dimension, are not finite, or exceed full scale.
    """
    samples = _to_numpy(array)
    if samples.ndim != 1:
        raise AudioError(
            f"samples must be one-dimensional (mono), got shape {samples.shape}: average the channels first, "
            "such as samples.mean(axis=1) for shape (n_samples, n_channels)"
        )
    if samples.dtype == np.uint8:
        return (samples.astype(np.float32) - 128) / 128
    if samples.dtype.name in _FULL_SCALES:
        return (samples / np.float64(_FULL_SCALES[samples.dtype.name])).astype(np.float32)
    if samples.dtype.kind != "f":
        raise AudioError(
            f"samples of type {samples.dtype} have no known full scale: "
            "convert them to floats in [-1, 1], or to int16, int32 or uint8"
        )
    check_samples(samples, "the array")
    return samples.astype(np.float32)


def _to_numpy(array: Any) -> np.ndarray:
    if isinstance(array, mx.array) and array.dtype == mx.bfloat16:  # NumPy has no such type
        array = array.astype(mx.float32)
    try:
        samples = np.asarray(array)
    except (TypeError, ValueError, RuntimeError) as error:
        raise AudioError(f"{type(array).__name__} cannot be converted to an array of samples ({error})") from None
    if samples.dtype == object or samples.dtype.kind in "SU":
        raise AudioError(
            f"{type(array).__name__} is not audio; give a path, the bytes of an audio file, a binary stream, or an "
            "array of 16 kHz samples"
        )
    return samples


def check_samples(samples: np.ndarray, name: str) -> None:
    """Raise AudioError, naming the recording, unless all samples are finite and near full scale or below."""
    if not samples.size:
        return
    loudest = float(np.abs(samples).max())
    if not loudest < np.inf:
        raise AudioError(f"{name}: the recording holds NaN or infinite samples; export it again")
    if loudest > LOUDEST:
        raise AudioError(
            f"{name}: float samples reach {loudest:.4g}, and full scale is 1; divide them by their full scale "
            "(32768 if they are in the range of 16-bit integers), or lower the level"
        )
