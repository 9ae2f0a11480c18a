"""What all contenders of a benchmark compute on. Needs NumPy alone."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

Repeat = Callable[[], float]  # does the task once, and returns the seconds
Task = Callable[[Path, str], Repeat]  # loads what it needs, from the folder of files and in a type such as "float32"

FEW, MANY = 16, 80  # steps of the decoder


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that `work` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def decoder_step(decode: Callable[[int], object]) -> Repeat:
    """Return a function that returns the seconds of one step of the decoder.

    Args:
        decode: decodes an encoded window to as many tokens as it is given. The work before them cancels out.
    """
    return lambda: (timed(lambda: decode(MANY)) - timed(lambda: decode(FEW))) / (MANY - FEW)


def read_recording(folder: Path, name: str) -> tuple[np.ndarray, str]:
    """Return the 16 kHz samples and the language of a recording that `tools.bench.run` wrote."""
    return np.load(folder / f"{name}.npy"), json.loads((folder / "recordings.json").read_text())[name]["language"]


def heard_tokens(folder: Path, name: str) -> int:
    """Return the tokens of the transcript of a recording, its end included, as Whisper writes it in windows of 30 s."""
    return json.loads((folder / "recordings.json").read_text())[name]["tokens"]


def random_mels(clips: int, frames: int) -> np.ndarray:
    """Return log-mels of noise, shape (clips, frames, 80)."""
    return np.random.default_rng(0).normal(size=(clips, frames, 80)).astype(np.float32)


def transcript_tokens(labels: int) -> list[int]:
    """Return the tokens of a transcript in English with that many tokens after the prompt of three."""
    return [50258, 50259, 50359, *range(1000, 1000 + labels - 1), 50257]
