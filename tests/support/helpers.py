"""Small models, synthetic clips and processes of their own, for tests of the whole package."""

import functools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import mlx.core as mx
import numpy as np
import soundfile

from mlx_whisper_lora.whisper.checkpoints.layout import from_openai, swap_kernel
from mlx_whisper_lora.whisper.model.whisper import ModelDimensions, Whisper
from tools.references.seeded import seeded_parameters

ROOT = Path(__file__).parents[2]


# 64 wide, 2 + 2 layers; transcripts end after 32 tokens, which keeps decoding short.
SMALL = ModelDimensions(
    n_mels=80, n_audio_ctx=1500, n_audio_state=64, n_audio_head=2, n_audio_layer=2,
    n_vocab=51865, n_text_ctx=64, n_text_state=64, n_text_head=2, n_text_layer=2,
)  # fmt: skip
WORDS = ("one", "two", "three", "four", "five", "six")


def small_model(seed: int = 0, **changes: int) -> Whisper:
    """A model with seeded weights, whose transcripts depend on the sound; `changes` replace its dimensions."""
    model = Whisper(replace(SMALL, **changes))
    model.load_weights([(name, mx.array(array)) for name, array in seeded_weights(model.dims, seed).items()])
    model.eval()
    return model


@functools.cache
def seeded_weights(dims: ModelDimensions, seed: int) -> dict[str, np.ndarray]:
    """The weights of tools/references/seeded.py, by our names and in MLX's layout of convolutions."""
    return {
        from_openai(name): swap_kernel(name, array) for name, array in seeded_parameters(dims.to_dict(), seed).items()
    }


def tone(seconds: float, hertz: float = 440.0, rate: int = 16000) -> np.ndarray:
    """A tone that swells and fades: float32 samples."""
    time = np.arange(round(seconds * rate)) / rate
    return (0.4 * np.sin(np.pi * time / seconds) * np.sin(2 * np.pi * hertz * time)).astype(np.float32)


def write_clips(folder: Path, texts: Sequence[str] = WORDS, seconds: float = 1.0, **columns) -> Path:
    """A folder of tones, 0.wav, 1.wav and so on, with a metadata.jsonl; `columns` go into every row."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for i, text in enumerate(texts):
        soundfile.write(folder / f"{i}.wav", tone(seconds, 200 + 100 * i), 16000)
        rows.append({"file_name": f"{i}.wav", "text": text, "language": "en", **columns})
    write_jsonl(folder / "metadata.jsonl", rows)
    return folder


def write_jsonl(path: Path, rows: Sequence[dict]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


@dataclass(frozen=True)
class Outcome:
    """How a command ended: exit code, standard output, standard error."""

    code: int
    out: str
    err: str


def start_python(*arguments: str | Path, **environment: str) -> subprocess.Popen:
    """Starts Python in a process of its own, with the package importable from anywhere."""
    paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        encoding="utf-8", env={**os.environ, "PYTHONPATH": paths, **environment},
        # Where the tests run in the background, Control-C is ignored, and a child would inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


def run_python(*arguments: str | Path, **environment: str) -> Outcome:
    process = start_python(*arguments, **environment)
    out, err = process.communicate(timeout=600)
    return Outcome(process.returncode, out, err)


def fake_ffmpeg(folder: Path, script: str) -> str:
    """Puts a program called ffmpeg into `folder` that runs `script` in a shell; the PATH that finds it."""
    program = folder / "ffmpeg"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"
