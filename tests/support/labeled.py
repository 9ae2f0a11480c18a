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


def with_tone(samples: np.ndarray, start: float = 0.0, seconds: float | None = None) -> np.ndarray:
    """Return samples with a tone, which lasts to the end if its length is not given."""
    time = np.arange(len(samples)) / 16000
    sounds = (time >= start) & (time < (np.inf if seconds is None else start + seconds))
    return (samples + 0.4 * sounds * np.sin(2 * np.pi * TONE_HERTZ * time)).astype(np.float32)


def write_labeled_clips(folder: Path, seconds: float | None = None, splits: dict[str, int] = SPLITS) -> Path:
    """Write clips of the bundled ones, every other of them with a tone, and a metadata.jsonl. Return the folder.

    Args:
        folder: is made.
        seconds: the length of the tone, which begins at random. By default, it sounds in the whole clip.
        splits: the number of clips of each split.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows, random = [], np.random.default_rng(0)
    for split, count in splits.items():
        for i, clip in enumerate(load_clips(DEMO_CLIPS)[split][:count]):
            samples = load_audio(clip.audio, start=clip.start, end=clip.end)
            start = random.uniform(0, max(len(samples) / 16000 - seconds, 0)) if seconds else 0.0
            name, label = f"{split}{i}.wav", ("plain", "tone")[i % 2]
            sound = with_tone(samples, start, seconds) if label == "tone" else samples
            soundfile.write(folder / name, sound, 16000)
            row = {"file_name": name, "label": label, "split": split, "speaker": f"{split}{i // 2}"}
            rows.append(row | {"tone_start": round(start, 3)})
    write_jsonl(folder / "metadata.jsonl", rows)
    return folder
