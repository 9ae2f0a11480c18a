"""Synthetic audio, folders of clips, and examples made of noise."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from mlx_whisper_lora.data.dataset import Example

WORDS = ("one", "two", "three", "four", "five", "six")


def tone(seconds: float, hertz: float = 440.0, rate: int = 16000) -> np.ndarray:
    """Return the float32 samples of a tone that swells and fades."""
    time = np.arange(round(seconds * rate)) / rate
    return (0.4 * np.sin(np.pi * time / seconds) * np.sin(2 * np.pi * hertz * time)).astype(np.float32)


def write_clips(folder: Path, texts: Sequence[str] = WORDS, seconds: float = 1.0, **columns) -> Path:
    """Write tones, 0.wav, 1.wav and so on, and a metadata.jsonl; `columns` go into every row. Return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for i, text in enumerate(texts):
        soundfile.write(folder / f"{i}.wav", tone(seconds, 200 + 100 * i), 16000)
        rows.append({"file_name": f"{i}.wav", "text": text, "language": "en", **columns})
    write_jsonl(folder / "metadata.jsonl", rows)
    return folder


def write_jsonl(path: Path, rows: Sequence[dict]) -> None:
    """Write each row as a line of JSON."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def noise_examples(count: int) -> list[Example]:
    """Return examples of a second of noise; the label of each is a word of its own."""
    random = np.random.default_rng(0)
    prompt = (50258, 50259, 50359, 50363)
    mels = random.standard_normal((count, 100, 80)).astype(np.float16)
    return [Example(mel, (*prompt, 500 + i, 50257), len(prompt), text="x", language="en") for i, mel in enumerate(mels)]
