"""Make the demo clips, which the demo model is bad at, and the demo recording, which it is good at.

    python -m tools.demo_model.clips

Clips: a flite voice, another synthesiser than the model was trained on, says English sentences of words that the
model knows. No sentence is in two of train, valid and test. Recording: two minutes of an espeak-ng voice that the model
never heard, one utterance after the other, with its transcript. All sound is Opus.
Needs flite and espeak-ng (Debian packages).
"""

import json
import random
import shutil
from pathlib import Path

import numpy as np
import soundfile

from tools.demo_model.language import sentence
from tools.demo_model.voices import SAMPLE_RATE, Voice, speak

ASSETS = Path(__file__).parents[2] / "assets"
CLIPS, RECORDING = ASSETS / "demo_clips", ASSETS / "demo_recording"
SPLITS = {"train": 1000, "valid": 40, "test": 60}
SPEAKER = Voice("flite", "awb", pitch=0)
READER = Voice("espeak-ng", "en-gb-x-rp+f3", speed=150, pitch=45)
RECORDING_SECONDS = 120


def save(path: Path, audio: np.ndarray) -> None:
    soundfile.write(path, audio, SAMPLE_RATE, format="OGG", subtype="OPUS")


def write_clips(folder: Path, split: str, count: int, chance: random.Random, said: set[str]) -> None:
    """A split of `count` clips, none of which says what has been `said`."""
    (folder / split).mkdir(parents=True)
    rows = []
    while len(rows) < count:
        text = sentence(chance, "en", chance.randint(2, 7))
        if text in said:
            continue
        said.add(text)
        name = f"{split}/{len(rows):03d}.opus"
        save(folder / name, speak(text, SPEAKER))
        rows.append(json.dumps({"audio": name, "text": text, "language": "en"}) + "\n")
    (folder / f"{split}.jsonl").write_text("".join(rows), encoding="utf-8")


def make_clips() -> None:
    shutil.rmtree(CLIPS, ignore_errors=True)
    chance = random.Random(2026)
    said: set[str] = set()
    for split, count in SPLITS.items():
        write_clips(CLIPS, split, count, chance, said)


def make_recording() -> None:
    RECORDING.mkdir(exist_ok=True)
    chance = random.Random(7)
    pieces, segments, position = [], [], 0
    while position < RECORDING_SECONDS * SAMPLE_RATE:
        text = sentence(chance, "en", chance.randint(3, 8))
        speech = 0.5 * speak(text, READER)
        segments.append({"start": position / SAMPLE_RATE, "end": (position + len(speech)) / SAMPLE_RATE, "text": text})
        pause = np.zeros(int(SAMPLE_RATE * chance.uniform(0.3, 1.0)), dtype=np.float32)
        pieces += [speech, pause]
        position += len(speech) + len(pause)
    save(RECORDING / "recording.opus", np.concatenate(pieces))
    reference = {"language": "en", "text": " ".join(segment["text"] for segment in segments), "segments": segments}
    (RECORDING / "reference.json").write_text(json.dumps(reference, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    make_clips()
    make_recording()
    size = sum(path.stat().st_size for path in ASSETS.rglob("*") if path.is_file())
    print(f"assets/: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
