"""Measure classifiers of accents and dialects on OpenAI's base: methods, heads and numbers of clips.

    OPENBLAS_NUM_THREADS=1 python -m tools.real.classify accents_en --iters 300
    OPENBLAS_NUM_THREADS=1 python -m tools.real.classify dialects_ar --iters 200 --rows "lora attention" --seeds 1 2

Training and test are the command that a user types. No speaker (accents) and no programme (dialects) is in two splits.
Two baselines stand beside: naming the most frequent class, and a logistic regression on the mean and the deviation of
each mel band. Results go to tools/real/classify.json; rows that it has are skipped.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax

from mlx_whisper_lora.data.array_cache import ArrayCache
from mlx_whisper_lora.data.classes import build_class_examples, find_classes
from mlx_whisper_lora.data.clip import DataError, check_none_bad
from mlx_whisper_lora.data.sources import load_clips
from mlx_whisper_lora.data.sources.options import LabelOptions
from mlx_whisper_lora.training.class_evaluation import ClassEvaluation, evaluate_scores
from tools.real.adapt import OUTPUT, metrics, run
from tools.real.recordings import RECORDINGS
from tools.real.results import add_result, read_results

RESULTS = Path(__file__).parent / "classify.json"
SPEAKERS = {"accents_en": "speaker", "dialects_ar": "group"}  # the column of what must not be in two splits
PENALTIES = (1e-3, 1e-2, 1e-1, 1.0)  # of the logistic regression; the best one on the validation clips is taken


@dataclass(frozen=True)
class Row:
    """A row of the table."""

    method: str
    head: str = "attention"
    options: Sequence[str] = ()


# As in tools/real/methods.py, a short run wants a higher rate than the default of all weights.
HIGH = ("--learning-rate", "1e-4")
ROWS = {
    "head attention": Row("head"),
    "head mean": Row("head", "mean"),
    "lora attention": Row("lora"),
    "lora mean": Row("lora", "mean"),
    "lora language": Row("lora", "language"),
    "lora mapping": Row("lora", "mapping"),
    "lora tokens": Row("lora", "tokens"),
    "dora attention": Row("dora"),
    "adapter 64 attention": Row("adapter"),
    "adapter 128 attention": Row("adapter", options=("--adapter-dim", "128")),
    "adapter 256 attention": Row("adapter", options=("--adapter-dim", "256")),
    "encoder attention": Row("encoder", options=HIGH),
    "bitfit attention": Row("bitfit"),
    "prompt attention": Row("prompt", options=("--learning-rate", "2e-2")),
    "reprogram attention": Row("reprogram", options=("--learning-rate", "1e-2")),
    # The published comparison scores the language tokens.
    "adapter 64 language": Row("adapter", "language"),
    "adapter 128 language": Row("adapter", "language", ("--adapter-dim", "128")),
    "adapter 256 language": Row("adapter", "language", ("--adapter-dim", "256")),
    "encoder language": Row("encoder", "language", HIGH),
    "decoder language": Row("decoder", "language", HIGH),
    "full language": Row("full", "language", HIGH),
    "bitfit language": Row("bitfit", "language"),
    "reprogram language": Row("reprogram", "language", ("--learning-rate", "1e-2")),
}


def logistic_regression(data: str) -> ClassEvaluation:
    """Return how well a logistic regression on mean and deviation of each mel band names the test clips."""
    splits = load_clips(RECORDINGS / data, options=LabelOptions(speaker_column=SPEAKERS[data]))
    classes, bad = find_classes(splits["train"]), list[DataError]()
    sets = {name: build_class_examples(splits[name], classes, 80, bad, ArrayCache(0, "mel-")) for name in splits}
    check_none_bad(bad)
    features = {name: np.array([_features(each.mel) for each in found]) for name, found in sets.items() if found}
    mean, deviation = features["train"].mean(axis=0), features["train"].std(axis=0)
    x = {name: (array - mean) / deviation for name, array in features.items()}
    y = {name: np.array([each.tokens[0] for each in found]) for name, found in sets.items()}

    def evaluated(split: str, weights: np.ndarray) -> ClassEvaluation:
        seconds = [each.seconds for each in sets[split]]
        speakers = [each.clip.speaker if each.clip else None for each in sets[split]]
        return evaluate_scores(x[split] @ weights[:-1] + weights[-1], y[split].tolist(), classes, seconds, speakers)

    fits = [_fit(x["train"], y["train"], len(classes), penalty) for penalty in PENALTIES]
    chosen = "valid" if sets["valid"] else "test"  # without validation clips, the best of four on the test is a bound
    return evaluated("test", min(fits, key=lambda weights: evaluated(chosen, weights).order("balanced_accuracy")))


def _features(mel: np.ndarray) -> np.ndarray:
    return np.concatenate([mel.mean(axis=0), mel.std(axis=0)])


def _fit(x: np.ndarray, y: np.ndarray, n_classes: int, penalty: float) -> np.ndarray:
    """Return the weights of a logistic regression, shape (F + 1, C); the last row is the bias."""

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = flat.reshape(-1, n_classes)
        log_probs = log_softmax(x @ weights[:-1] + weights[-1], axis=1)
        error = (np.exp(log_probs) - np.eye(n_classes)[y]) / len(y)
        gradient = np.vstack([x.T @ error + 2 * penalty * weights[:-1], error.sum(axis=0)])
        total = -log_probs[np.arange(len(y)), y].mean() + penalty * (weights[:-1] ** 2).sum()
        return total, gradient.ravel()

    start = np.zeros((x.shape[1] + 1) * n_classes)
    return minimize(loss, start, jac=True, method="L-BFGS-B").x.reshape(-1, n_classes)


def measure(data: str, title: str, iters: int, seed: int, clips: int | None) -> dict:
    """Train a row of the table, test it, and return what was found."""
    row = ROWS[title]
    name = f"{data}_{title.replace(' ', '_')}_{clips or 'all'}_{seed}"
    adapter, numbers = OUTPUT / f"{name}.npz", OUTPUT / f"{name}.json"
    few = ("--clips-per-class", clips) if clips else ()
    start = time.perf_counter()
    run("classify", "--train", "--test", "--model", "base", "--data", RECORDINGS / data, "--speaker-column",
        SPEAKERS[data], "--fine-tune-type", row.method, "--head", row.head, "--iters", iters, "--batch-size", 4,
        "--seed", seed, "--val-clips", -1, "--adapter-file", adapter, "--overwrite", "--json", numbers, *few,
        *row.options)  # fmt: skip
    minutes = (time.perf_counter() - start) / 60
    about = {
        "data": data,
        "row": title,
        "iters": iters,
        "seed": seed,
        "clips_per_class": clips,
        "wall_minutes": round(minutes, 1),
        "trainable_parameters": metrics(adapter)[0]["trainable_parameters"],
    }
    return about | json.loads(numbers.read_text(encoding="utf-8"))


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure classifiers of accents and dialects.")
    parser.add_argument("data", choices=SPEAKERS)
    parser.add_argument("--iters", type=int, required=True, help="training steps of four clips")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=[*ROWS])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--clips-per-class", type=int, help="train on at most so many clips of each class")
    args = parser.parse_args()
    OUTPUT.mkdir(parents=True, exist_ok=True)
    if not any((each["data"], each["row"]) == (args.data, "logistic regression") for each in read_results(RESULTS)):
        add_result(
            RESULTS, {"data": args.data, "row": "logistic regression", **logistic_regression(args.data).to_json()}
        )
    for title in args.rows:
        for seed in args.seeds:
            key = (args.data, title, args.iters, seed, args.clips_per_class)
            names = ("data", "row", "iters", "seed", "clips_per_class")
            if not any(tuple(each.get(name) for name in names) == key for each in read_results(RESULTS)):
                add_result(RESULTS, measure(args.data, title, args.iters, seed, args.clips_per_class))


if __name__ == "__main__":
    main()
