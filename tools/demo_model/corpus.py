"""Make a corpus of synthetic utterances with espeak-ng, a Debian package of that name.

    python -m tools.demo_model.corpus --output build/corpus --utterances 30000 --seed 1 --min-words 1 --max-words 10

Text and voices are drawn with `random.Random`, signals with `numpy.random.Generator`.
"""

import argparse
import json
import multiprocessing
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from tools.demo_model.conditions import disturb
from tools.demo_model.language import LANGUAGES, sentence
from tools.demo_model.voices import Audio, Span, Voice, random_voice, speak_words


@dataclass(frozen=True)
class Recipe:
    """The ingredients of a corpus."""

    seed: int
    weights: tuple[float, ...]  # weights[i]: relative frequency of utterances of i + 1 words
    held_out: bool = False  # use only the variants that are kept from training


@dataclass(frozen=True)
class Item:
    """One utterance of a corpus."""

    offset: int  # its first sample in `samples`
    length: int  # in samples
    text: str
    language: str
    voice: Voice
    words: list[Span]
    samples: NDArray[np.int16]  # of the entire corpus

    def audio(self) -> Audio:
        """Return the utterance's audio, shape (length,)."""
        return self.samples[self.offset : self.offset + self.length].astype(np.float32) / np.float32(32768)


def utterance(index: int, recipe: Recipe) -> tuple[NDArray[np.int16], dict]:
    """Return the samples and the description of utterance `index`, which depend on nothing but the arguments."""
    rng = random.Random(f"{recipe.seed}/{index}")
    language = rng.choice(LANGUAGES)
    n_words = rng.choices(range(1, len(recipe.weights) + 1), recipe.weights)[0]
    text = sentence(rng, language, n_words)
    voice = random_voice(rng, language, recipe.held_out)
    speech, words = speak_words(text, voice)
    audio = disturb(speech, np.random.default_rng([recipe.seed, index]))
    entry = {"text": text, "language": language, "voice": asdict(voice), "words": words}
    return np.round(np.clip(audio, -1, 1) * 32767).astype(np.int16), entry


def write_corpus(folder: Path, n: int, recipe: Recipe, processes: int = 2) -> None:
    """Write utterances to a folder: samples.npy (int16, 16 kHz, end to end) and index.jsonl.

    Args:
        folder: created if it does not exist.
        n: number of utterances.
        recipe: the ingredients.
        processes: number of processes that share the work; the result does not depend on it.

    Raises:
        RuntimeError: espeak-ng is not installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    entries, total = [], 0
    with multiprocessing.Pool(processes) as pool, (folder / "samples.npy").open("wb") as file:
        _write_header(file, total)
        made = pool.imap(partial(utterance, recipe=recipe), range(n), chunksize=32)
        for samples, entry in tqdm(made, total=n, unit="utt", desc=str(folder), mininterval=5):
            samples.tofile(file)
            entries.append({"offset": total, "length": len(samples), **entry})
            total += len(samples)
        file.seek(0)
        _write_header(file, total)
    lines = [json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries]
    (folder / "index.jsonl").write_text("".join(lines), encoding="utf-8")


def _write_header(file, length: int) -> None:
    """Write the .npy header for `length` samples; NumPy pads it so that a later, longer one fits too."""
    header = {"descr": "<i2", "fortran_order": False, "shape": (length,)}
    np.lib.format.write_array_header_1_0(file, header)


def load_corpus(folder: Path) -> list[Item]:
    """Return the utterances that `write_corpus` wrote to `folder`; their samples are read from disk on use."""
    samples = np.load(folder / "samples.npy", mmap_mode="r")
    items = []
    with (folder / "index.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            entry = json.loads(line)
            items.append(Item(**{**entry, "voice": Voice(**entry["voice"])}, samples=samples))
    return items


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Make a corpus of synthetic speech with espeak-ng.")
    parser.add_argument("--output", type=Path, required=True, help="folder to write to")
    parser.add_argument("--utterances", type=int, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--min-words", type=int, default=1)
    parser.add_argument("--max-words", type=int, default=10)
    parser.add_argument(
        "--common-words",
        type=int,
        nargs=2,
        metavar=("MIN", "MAX"),
        help="make these numbers of words three times as frequent as the others",
    )
    parser.add_argument("--held-out", action="store_true", help="use only the variants that are kept from training")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args(arguments)
    low, high = options.common_words or (1, 0)
    weights = [
        0.0 if n < options.min_words else 3.0 if low <= n <= high else 1.0 for n in range(1, options.max_words + 1)
    ]
    recipe = Recipe(options.seed, tuple(weights), options.held_out)
    write_corpus(options.output, options.utterances, recipe, options.processes)


if __name__ == "__main__":
    main()
