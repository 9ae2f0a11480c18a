"""Devices, as programs for openai-whisper name them. MLX computes on the GPU if there is one, and else on the CPU."""

import resource
import sys
import warnings

import mlx.core as mx


def note_device(device: object) -> None:
    """Warn if a program asks for another device than MLX computes on.

    Args:
        device: "cpu", "cuda:0", "mps", a device of PyTorch or of MLX, or None for any.
    """
    in_use = "cpu" if mx.default_device() == mx.cpu else "gpu"
    wanted = "cpu" if "cpu" in str(device) else "gpu"
    if device is not None and wanted != in_use:
        warnings.warn(
            f"`device` {device} has no effect: MLX computes on the {in_use.upper()}; mlx.core.set_default_device sets "
            "another",
            stacklevel=3,
        )


def peak_memory() -> int:
    """Return the most bytes in use since the process began: those of MLX on a GPU, those of the process on a CPU."""
    if mx.default_device() == mx.gpu:
        return mx.get_peak_memory()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
