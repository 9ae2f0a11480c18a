"""Search for the default settings of LoRA on real recordings with OpenAI's base, by `lora --search` itself.

    OPENBLAS_NUM_THREADS=1 python -m tools.real.search malayalam
    OPENBLAS_NUM_THREADS=1 python -m tools.real.search speaker

The search tries targets, blocks of encoder and decoder, rank, dropout and learning rate, and drops the worse half
twice. The best five, and the given settings, are then trained with three seeds each and tested on speakers that no
training clip has. Results go to tools/real/search.json; runs that it has are skipped.
"""

import argparse
import json
import shlex
from pathlib import Path
from typing import Any

from mlx_whisper_lora.adapters.open import open_adapter
from mlx_whisper_lora.adapters.strength import load_fused
from mlx_whisper_lora.training.evaluation import clip_loss
from mlx_whisper_lora.training.metrics import ratio_interval
from mlx_whisper_lora.training.run import Run
from mlx_whisper_lora.training.run_options import RunOptions
from tools.real.adapt import OUTPUT, TASKS, Task, data_folder, run, score

RESULTS = Path(__file__).parent / "search.json"
BEST = 5


def search(name: str, candidates: int, iters: int, val_clips: int) -> list[dict[str, Any]]:
    """Search, and return the given settings and the best others, the best first."""
    task, adapter = TASKS[name], OUTPUT / f"{name}_search.npz"
    table = adapter.with_name(f"{adapter.stem}_search.json")
    if not table.exists():
        run("lora", "--train", "--search", candidates, "--model", "base", "--data", data_folder(name, task, None),
            "--language", task.language, "--iters", iters, "--val-clips", val_clips, "--best-by", "loss",
            "--adapter-file", adapter, "--overwrite")  # fmt: skip
    found = json.loads(table.read_text(encoding="utf-8"))
    keep(name, "search", {key: value for key, value in found.items() if key != "digest"})
    tokens = sum(map(sum, found["tokens"]))

    def rank(candidate: dict[str, Any]) -> tuple[int, float]:
        last = candidate["scores"][-1]
        return -last["steps"], sum(last["losses"] or [float("inf")]) / tokens

    given, *others = found["candidates"]
    return [given, *sorted(others, key=rank)[:BEST]]


def measure(name: str, options: str, iters: int, seed: int, transcribes: bool) -> dict[str, Any]:
    """Train with options, test the adapter, and return what was found."""
    task = TASKS[name]
    folder, adapter = data_folder(name, task, None), OUTPUT / f"{name}_searched.npz"
    run("lora", "--train", "--model", "base", "--data", folder, "--language", task.language, "--iters", iters,
        "--seed", seed, "--val-clips", 1, "--steps-per-eval", iters, "--best-by", "loss", "--adapter-file", adapter,
        "--overwrite", *shlex.split(options))  # fmt: skip
    newest = adapter.with_name(f"{adapter.stem}_last.npz")
    about = {"options": options, "iters": iters, "seed": seed}
    if not transcribes:
        return about | losses(folder, task, newest)
    tested = score(folder, task, newest, greedy=True)
    return about | {key: value for key, value in tested.items() if key not in ("texts", "references")}


def losses(folder: Path, task: Task, adapter: Path) -> dict[str, Any]:
    """Return the loss of an adapter on the test clips, in nats per token, with the interval of a bootstrap."""
    test = Run(RunOptions("base", str(folder), str(adapter), language=task.language), trains=False)
    examples = test.examples["test"]
    load_fused(test.model, open_adapter(str(adapter)), "base")
    tokens = [example.n_targets for example in examples]
    sums = [clip_loss(test.model, example) * count for example, count in zip(examples, tokens, strict=True)]
    interval = [round(bound, 4) for bound in ratio_interval(sums, tokens)]
    return {"clips": len(examples), "loss": round(sum(sums) / sum(tokens), 4), "loss_interval": interval}


def stored() -> dict[str, dict[str, Any]]:
    """Return what was measured before, by task."""
    return json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}


def keep(name: str, key: str, found: Any) -> None:
    """Keep a result of a task in the file."""
    results = stored()
    results.setdefault(name, {})[key] = found
    RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="Search for the default settings of LoRA.")
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("--candidates", type=int, default=40)
    parser.add_argument("--iters", type=int, default=120, help="training steps of the candidates that are left")
    parser.add_argument("--val-clips", type=int, default=40)
    parser.add_argument(
        "--by-loss", action="store_true", help="test by the loss: after few steps, an adapter of a new language repeats"
    )
    parser.add_argument("--also", nargs="+", default=[], metavar="OPTIONS", help="settings to train with seeds too")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    args = parser.parse_args()
    OUTPUT.mkdir(parents=True, exist_ok=True)
    candidates = search(args.task, args.candidates, args.iters, args.val_clips)
    settings = [*(candidate["options"] for candidate in candidates), *args.also]
    for seed in args.seeds:
        for options in settings:
            key = f"{options or 'the given settings'}, seed {seed}"
            if args.by_loss:
                key += ", by loss"
            if key not in stored()[args.task]:
                found = measure(args.task, options, args.iters, seed, not args.by_loss)
                keep(args.task, key, found)
                print(found, flush=True)


if __name__ == "__main__":
    main()
