"""Measure whether the maps of `explain` find a cue that was planted: a tone that tells two classes apart.

    OPENBLAS_NUM_THREADS=1 python -m tools.real.planted_cue --clips 20

Spoken digits lie in the middle of two seconds of room noise. In the clips of one class, a tone sounds for half a second
at a time of chance. `classify` trains a classifier of OpenAI's base to name the class. In test clips with the tone, the
maps of that class are compared with the plant: the cells of its time and its mel bands. The overlap is the share of the
plant among as many cells, the largest of the map. The results go to tools/real/planted_cue.json.
"""

import argparse
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import mlx.core as mx
import numpy as np
import soundfile

from mlx_whisper_lora.adapters.classify import LoadedClassifier
from mlx_whisper_lora.adapters.open import open_adapter
from mlx_whisper_lora.explanation.cells import cell_means
from mlx_whisper_lora.explanation.classes import class_targets
from mlx_whisper_lora.explanation.curves import random_maps
from mlx_whisper_lora.explanation.explain import makers
from mlx_whisper_lora.explanation.options import ExplanationOptions
from mlx_whisper_lora.whisper.audio.constants import FRAMES_PER_SECOND, SAMPLE_RATE
from mlx_whisper_lora.whisper.audio.load import load_audio
from mlx_whisper_lora.whisper.audio.log_mel import clip_frames
from mlx_whisper_lora.whisper.checkpoints.load import load_model
from tools.real.adapt import OUTPUT, run
from tools.real.explain import SECONDS, SURROUNDINGS, digits, in_the_middle, mean_with_interval

RESULTS = Path(__file__).parent / "planted_cue.json"
SPLITS = {"train": 160, "valid": 20, "test": 80}
TONE, PLAIN = "tone", "plain"
HERTZ, TONE_SECONDS, LEVEL = 2900, 0.5, 0.05  # the level is about that of the speech
N_RANDOM = 20


def tone(start: float) -> np.ndarray:
    """Return a clip in which nothing but the tone sounds."""
    time = np.arange(round(SECONDS * SAMPLE_RATE)) / SAMPLE_RATE
    sounds = (time >= start) & (time < start + TONE_SECONDS)
    return (LEVEL * sounds * np.sin(2 * np.pi * HERTZ * time)).astype(np.float32)


def write_clips(folder: Path) -> Path:
    """Write clips of digits with labels, every other of them with the tone. Return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    random, rows = np.random.default_rng(0), []
    splits = [split for split, count in SPLITS.items() for _ in range(count)]
    for i, (split, (spoken, _)) in enumerate(zip(splits, digits(), strict=False)):
        samples, _ = in_the_middle(spoken, SURROUNDINGS["room noise"])
        start, label = round(random.uniform(0, SECONDS - TONE_SECONDS), 2), (PLAIN, TONE)[i % 2]
        soundfile.write(folder / f"{i}.wav", samples + tone(start) * (label == TONE), SAMPLE_RATE)
        rows.append({"file_name": f"{i}.wav", "label": label, "split": split, "tone_start": start})
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def plant(start: float, n_mels: int) -> np.ndarray:
    """Return which cells the tone lies in, by its own log-mel."""
    mel = clip_frames(tone(start), n_mels)
    bands = mel[round((start + TONE_SECONDS / 2) * FRAMES_PER_SECOND)]
    places = np.zeros_like(mel)
    first = round(start * FRAMES_PER_SECOND)
    places[first : first + round(TONE_SECONDS * FRAMES_PER_SECOND), bands > bands.max() - 0.5] = 1  # 20 dB
    return cell_means(places) >= 0.25


def overlap(cells: np.ndarray, planted: np.ndarray) -> float:
    """Return the share of the planted cells among as many others, the largest of a map."""
    largest = np.argsort(-cells.ravel())[: planted.sum()]
    return float(planted.ravel()[largest].mean())


def train(folder: Path, adapter: Path, iters: int) -> LoadedClassifier:
    """Train and test a classifier of the clips by the command that a user types, and return it."""
    run("classify", "--train", "--test", "--model", "base", "--data", folder, "--iters", iters, "--val-clips", -1,
        "--adapter-file", adapter, "--overwrite")  # fmt: skip
    return LoadedClassifier.load(load_model("base", mx.float32), open_adapter(adapter), "base")


def measure(classifier: LoadedClassifier, folder: Path, count: int) -> Iterator[dict]:
    """Yield for each clip and method the overlap of the map with the plant, and that of random maps."""
    lines = (folder / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
    rows = (row for row in map(json.loads, lines) if (row["split"], row["label"]) == ("test", TONE))
    for row in islice(rows, count):
        mel = clip_frames(load_audio(folder / row["file_name"]), classifier.model.dims.n_mels)
        targets, planted = class_targets(classifier, [TONE], len(mel)), plant(row["tone_start"], mel.shape[1])
        ((score,),) = np.array(targets.scores(mx.array(mel)[None]))
        for method, make in makers(ExplanationOptions()).items():
            (cells,) = maps = cell_means(np.abs(make(targets, mel)))
            random = np.mean([overlap(other, planted) for other in random_maps(maps, N_RANDOM, seed=0)])
            yield {
                "clip": row["file_name"],
                "method": method,
                "overlap": round(overlap(cells, planted), 3),
                "random": round(float(random), 3),
                "share_of_map": round(float(cells[planted].sum() / cells.sum()), 3),
                "score": round(float(score), 3),
                "planted_cells": int(planted.sum()),
                "cells": planted.size,
            }


def summaries(rows: list[dict]) -> list[dict]:
    """Return the means of each method, with their intervals."""
    found = []
    for method in dict.fromkeys(row["method"] for row in rows):
        its = [row for row in rows if row["method"] == method]
        means = {
            name: mean_with_interval(np.array([row[name] for row in its]))
            for name in ("overlap", "random", "share_of_map")
        }
        found.append({"method": method, "clips": len(its), **means})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure whether the maps of `explain` find a planted tone.")
    parser.add_argument("--clips", type=int, default=20)
    parser.add_argument("--iters", type=int, default=60)
    args = parser.parse_args()
    folder = write_clips(OUTPUT / "planted_clips")
    classifier = train(folder, OUTPUT / "planted.npz", args.iters)
    rows: list[dict] = []
    for row in measure(classifier, folder, args.clips):
        rows.append(row)
        print(row, flush=True)
    results = {"summaries": summaries(rows), "rows": rows}
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
