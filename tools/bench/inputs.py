"""What all contenders of a benchmark compute on. Needs NumPy alone."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

Repeat = Callable[[], float]  # does the task once, and returns the seconds


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that `work` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def read_recording(folder: Path, name: str) -> tuple[np.ndarray, str]:
    """Return the 16 kHz samples and the language of a recording that `tools.bench.run` wrote."""
    return np.load(folder / f"{name}.npy"), json.loads((folder / "languages.json").read_text())[name]


def random_mels(clips: int, frames: int) -> np.ndarray:
    """Return log-mels of noise, shape (clips, frames, 80)."""
    return np.random.default_rng(0).normal(size=(clips, frames, 80)).astype(np.float32)


def transcript_tokens(labels: int) -> list[int]:
    """Return the tokens of a transcript in English with that many tokens after the prompt of three."""
    return [50258, 50259, 50359, *range(1000, 1000 + labels - 1), 50257]
