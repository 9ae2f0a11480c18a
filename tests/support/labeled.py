"""A folder of bundled clips with labels: in one class, a tone sounds in each clip."""

from pathlib import Path

import numpy as np
import soundfile

from mlx_whisper_lora.data.sources import load_clips
from mlx_whisper_lora.whisper.assets import DEMO_CLIPS
from mlx_whisper_lora.whisper.audio.load import load_audio
from tests.support.clips import write_jsonl

SPLITS = {"train": 48, "valid": 6, "test": 8}
TONE_HERTZ = 3000


def with_tone(samples: np.ndarray) -> np.ndarray:
    """Return samples with a tone."""
    time = np.arange(len(samples)) / 16000
    return (samples + 0.4 * np.sin(2 * np.pi * TONE_HERTZ * time)).astype(np.float32)


def write_labeled_clips(folder: Path, column: str = "label") -> Path:
    """Write clips of the bundled ones, every other of them with a tone, and a metadata.jsonl. Return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for split, count in SPLITS.items():
        for i, clip in enumerate(load_clips(DEMO_CLIPS)[split][:count]):
            samples = load_audio(clip.audio, start=clip.start, end=clip.end)
            name, label = f"{split}{i}.wav", ("plain", "tone")[i % 2]
            soundfile.write(folder / name, with_tone(samples) if label == "tone" else samples, 16000)
            rows.append({"file_name": name, column: label, "split": split, "speaker": f"{split}{i // 2}"})
    write_jsonl(folder / "metadata.jsonl", rows)
    return folder
