"""Make the demo clips, which the demo model transcribes badly, and the demo recording, which it transcribes well.

    python -m tools.demo_model.clips            # both
    python -m tools.demo_model.clips clips      # the clips alone, which need no espeak-ng

Clips: a flite voice, another synthesizer than the one that the model was trained on, speaks English sentences of words
that the model knows. No sentence is in two of train, valid and test. Each split is one recording, and its table gives
the start and end of each clip in it. Recording: two minutes of an espeak-ng voice that is not in the model's training
data, one utterance after the other, with its transcript. All audio is Opus.
The clips need flite, the recording needs espeak-ng (Debian packages).
"""

import argparse
import json
import random
import shutil
from pathlib import Path

import numpy as np
import soundfile

from tools.demo_model.language import sentence
from tools.demo_model.voices import SAMPLE_RATE, Audio, Voice, speak

ASSETS = Path(__file__).parents[2] / "assets"
CLIPS, RECORDING = ASSETS / "demo_clips", ASSETS / "demo_recording"
SPLITS = {"train": 1000, "valid": 40, "test": 60}
SPEAKER = Voice("flite", "awb", pitch=0)
READER = Voice("espeak-ng", "en-gb-x-rp+f3", speed=150, pitch=45)
RECORDING_SECONDS = 120
START_STEP = SAMPLE_RATE // 100  # clips start at hundredths of a second, and their times are short to write
COMPRESSION = 0.9  # of the clips, from 0 (largest) to 1: about 30 kbit/s
PAUSE = SAMPLE_RATE // 4  # at least, between clips: the codec smears each sample over less than a tenth of this


def save(path: Path, audio: Audio, compression: float | None = None) -> None:
    """Write Opus, at the encoder's own bitrate if no compression is given."""
    soundfile.write(path, audio, SAMPLE_RATE, format="OGG", subtype="OPUS", compression_level=compression)


def write_clips(folder: Path, split: str, count: int, rng: random.Random, used: set[str]) -> None:
    """Write a split of `count` clips to `folder`: {split}.opus and {split}.jsonl.

    Args:
        rng: Draws the sentences.
        used: The sentences that are not to be spoken again; those of this split are added to it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pieces: list[Audio] = []
    rows: list[str] = []
    position = 0
    while len(rows) < count:
        text = sentence(rng, "en", rng.randint(2, 7))
        if text in used:
            continue
        used.add(text)
        speech = speak(text, SPEAKER)
        pause = PAUSE + -(len(speech) + PAUSE) % START_STEP
        times = {"start": position / SAMPLE_RATE, "end": round((position + len(speech)) / SAMPLE_RATE, 4)}
        rows.append(json.dumps({"audio": f"{split}.opus", **times, "text": text, "language": "en"}) + "\n")
        pieces.append(np.pad(speech, (0, pause)))
        position += len(speech) + pause
    save(folder / f"{split}.opus", np.concatenate(pieces), COMPRESSION)
    (folder / f"{split}.jsonl").write_text("".join(rows), encoding="utf-8")


def make_clips() -> None:
    shutil.rmtree(CLIPS, ignore_errors=True)
    rng = random.Random(2026)
    used: set[str] = set()
    for split, count in SPLITS.items():
        write_clips(CLIPS, split, count, rng, used)


def make_recording() -> None:
    RECORDING.mkdir(exist_ok=True)
    rng = random.Random(7)
    pieces, segments, position = [], [], 0
    while position < RECORDING_SECONDS * SAMPLE_RATE:
        text = sentence(rng, "en", rng.randint(3, 8))
        speech = 0.5 * speak(text, READER)
        segments.append({"start": position / SAMPLE_RATE, "end": (position + len(speech)) / SAMPLE_RATE, "text": text})
        pause = np.zeros(int(SAMPLE_RATE * rng.uniform(0.3, 1.0)), dtype=np.float32)
        pieces += [speech, pause]
        position += len(speech) + len(pause)
    save(RECORDING / "recording.opus", np.concatenate(pieces))
    reference = {"language": "en", "text": " ".join(segment["text"] for segment in segments), "segments": segments}
    (RECORDING / "reference.json").write_text(json.dumps(reference, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    parts = {"clips": make_clips, "recording": make_recording}
    parser = argparse.ArgumentParser(description="Make the demo clips and the demo recording.")
    parser.add_argument("part", nargs="?", choices=parts, help="make this part alone")
    part = parser.parse_args().part
    for make in [parts[part]] if part else parts.values():
        make()
    size = sum(path.stat().st_size for path in ASSETS.rglob("*") if path.is_file())
    print(f"assets/: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
