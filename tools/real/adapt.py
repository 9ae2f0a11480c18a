"""Measure adapters of OpenAI's base on recordings of real people, with the commands that a user types.

    python -m tools.real.adapt malayalam --iters 100 --seeds 0 1 2
    python -m tools.real.adapt digits --iters 150 --seeds 0
    python -m tools.real.adapt speaker --iters 150        # digits, tested on a speaker who is not in the training clips
    python -m tools.real.adapt malayalam --iters 100 --clips 40 --greedy

The untuned base is scored first, without a fallback to sampling. It fails in most windows of a language that it does
not know, as does an adapter of few steps (--greedy), and sampling each of them 25 times would take hours. Scores are
those of `lora --test`, which transcribes as `transcribe` does; eight clips are transcribed by that command too, and the
number of equal texts is kept. Results go to tools/real/adapt.json. Intervals are those of a bootstrap over clips.
"""

import argparse
import json
import random
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mlx_whisper_lora.adapters.adapter_file import read_adapter_config
from mlx_whisper_lora.data.clip import Splits
from mlx_whisper_lora.data.sources import load_clips
from mlx_whisper_lora.training.metrics import (
    character_error_interval,
    character_error_rate,
    word_error_interval,
    word_error_rate,
)
from mlx_whisper_lora.training.run import Run
from mlx_whisper_lora.training.run_options import RunOptions
from mlx_whisper_lora.whisper.text.normalizers import NORMALIZERS
from mlx_whisper_lora.whisper.transcription.options import TranscriptionOptions
from tools.digits import write_splits
from tools.real.recordings import RECORDINGS
from tools.real.results import add_result, read_results

RESULTS = Path(__file__).parent / "adapt.json"
OUTPUT = Path("build/adapt")
TRANSCRIBED = 8  # clips that the command `transcribe` transcribes too
RATES = {"wer": word_error_rate, "cer": character_error_rate}
INTERVALS = {"wer": word_error_interval, "cer": character_error_interval}
GREEDY = ("--temperature", 0, "--temperature-increment-on-fallback", "None")  # windows that fail are not sampled again


@dataclass(frozen=True)
class Task:
    """Recordings, and how they are scored."""

    source: str  # a folder of RECORDINGS
    language: str
    held_out: str | None = None  # the speaker to test on, of digits


TASKS = {
    "malayalam": Task("malayalam", "ml"),
    "digits": Task("fsdd", "en"),
    "speaker": Task("fsdd", "en", held_out="jackson"),
}


def data_folder(name: str, task: Task, n_clips: int | None) -> Path:
    """Return a folder of the clips of a task, with tables of their own for digits and for some of the clips."""
    if task.source != "fsdd" and n_clips is None:
        return RECORDINGS / task.source
    folder = OUTPUT / (f"{name}_clips" if n_clips is None else f"{name}_{n_clips}_clips")
    if task.source == "fsdd":
        write_splits(RECORDINGS / task.source, folder, task.held_out)
    if n_clips is not None:
        splits = load_clips(folder if task.source == "fsdd" else RECORDINGS / task.source)
        splits["train"] = random.Random(0).sample(splits["train"], n_clips)
        write_tables(folder, splits)
    return folder


def write_tables(folder: Path, splits: Splits, **columns: str) -> None:
    """Write a table for each split, with columns that are the same for all clips."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, clips in splits.items():
        rows = [{"audio": str(Path(str(clip.audio)).resolve()), "text": clip.text} | columns for clip in clips]
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / f"{split}.jsonl").write_text(lines, encoding="utf-8")


def metrics(adapter: Path) -> list[dict]:
    """Return the lines of the metrics of a run."""
    path = adapter.with_name(f"{adapter.stem}_metrics.jsonl")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def run(*arguments: object) -> None:
    """Run a command of the package and show it. Exit if it fails."""
    words = ["-m", "mlx_whisper_lora", *map(str, arguments)]
    print(f"$ python {' '.join(words)}", flush=True)
    if subprocess.run([sys.executable, *words]).returncode:
        sys.exit(1)


def score(folder: Path, task: Task, adapter: Path | None, greedy: bool, model: str = "base") -> dict:
    """Test the base, or an adapter of it, and return scores and texts."""
    transcription = TranscriptionOptions(temperature=0.0) if greedy else TranscriptionOptions(best_of=5)
    file = str(adapter) if adapter else None
    options = RunOptions(model, str(folder), file, language=task.language, transcription=transcription)
    test = Run(options, trains=False)
    start = time.perf_counter()
    result = test.test()
    seconds = time.perf_counter() - start
    hypotheses, references = result.hypotheses, [example.text for example in test.examples["test"]]
    same = same_by_command(test, hypotheses, adapter, task, greedy, model) if adapter else None
    normalizer = NORMALIZERS[result.normalizer]
    scores: dict = {name: round(rate(references, hypotheses, normalizer), 2) for name, rate in RATES.items()}
    for name, interval in INTERVALS.items():
        scores[f"{name}_interval"] = [round(bound, 2) for bound in interval(references, hypotheses, normalizer)]
    return {
        "clips": len(references),
        "seconds": round(seconds),
        "same_by_command": same,
        "loss": round(result.loss, 4),
        **scores,
        "texts": hypotheses,
        "references": references,
    }


def same_by_command(test: Run, hypotheses: list[str], adapter: Path, task: Task, greedy: bool, model: str) -> int:
    """Return for how many of TRANSCRIBED clips the command `transcribe` gives the text of the test."""
    chosen = np.random.default_rng(0).permutation(len(hypotheses))[:TRANSCRIBED]
    files = [Path(str(test.clips["test"][i].audio)) for i in chosen]
    out = OUTPUT / "transcripts"
    run("transcribe", "--model", model, "--adapter-file", adapter, "--language", task.language, "--verbose", "False",
        "--output-dir", out, *(GREEDY if greedy else ()), "--audio", *files)  # fmt: skip
    texts = [(out / file.name).with_suffix(".txt").read_text(encoding="utf-8") for file in files]
    return sum(text.split() == hypotheses[i].split() for text, i in zip(texts, chosen, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure adapters of base on recordings of real people.")
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("--iters", type=int, required=True, help="training steps")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--clips", type=int, help="train on this many clips")
    parser.add_argument("--greedy", action="store_true", help="test without sampling again the windows that fail")
    args, options = parser.parse_known_args()
    task = TASKS[args.task]
    OUTPUT.mkdir(parents=True, exist_ok=True)
    folder = data_folder(args.task, task, args.clips)
    if not any(each["task"] == args.task and each["iters"] == 0 for each in read_results(RESULTS)):
        add_result(RESULTS, {"task": args.task, "iters": 0, **score(folder, task, None, greedy=True)})
    for seed in args.seeds:
        adapter = OUTPUT / f"{args.task}_{args.clips or 'all'}_{args.iters}_{seed}.npz"
        given = ("--data", folder, "--language", task.language, "--iters", args.iters, "--seed", seed, *options)
        start = time.perf_counter()
        run("lora", "--train", "--adapter-file", adapter, "--overwrite", *given)
        minutes = round((time.perf_counter() - start) / 60, 1)
        settings = {
            "task": args.task,
            "train_clips": args.clips,
            "iters": args.iters,
            "seed": seed,
            "options": options,
            "greedy": args.greedy,
            "audio_context": read_adapter_config(adapter).audio_context,
            "minutes": minutes,
        }
        add_result(RESULTS, settings | score(folder, task, adapter, args.greedy))


if __name__ == "__main__":
    main()
