"""Measure the methods of --fine-tune-type on OpenAI's base and recordings of real people, at the same minutes each.

    OPENBLAS_NUM_THREADS=1 python -m tools.real.methods malayalam --minutes 10
    OPENBLAS_NUM_THREADS=1 python -m tools.real.methods speaker --minutes 10 --methods lora dora --seeds 1 2

A short run of each method gives the time of a step; so many steps are then trained as fit the minutes of one core, so
that other work on the machine decides nothing. Training and test are the commands that a user types. Results go to
tools/real/methods.json.
"""

import argparse
import json
import time
from pathlib import Path

from mlx_whisper_lora.adapters.methods import METHODS
from mlx_whisper_lora.training.options import TrainingOptions
from mlx_whisper_lora.training.run import Run
from mlx_whisper_lora.training.run_options import RunOptions
from tools.real.adapt import OUTPUT, TASKS, Task, data_folder, run, score

RESULTS = Path(__file__).parent / "methods.json"
TRIED = 24  # steps, whose time is taken
# A few minutes want a higher rate than the default of all weights, which is for long runs. On 40 steps of Malayalam,
# 1e-4 gave a loss of 1.33, and 1e-5 of 1.48.
OPTIONS = dict.fromkeys(("encoder", "decoder", "full"), ("--learning-rate", "1e-4"))


def seconds_of_step(folder: Path, task: Task, method: str) -> float:
    """Return the processor time of a training step, over several steps with all that they need."""
    options = RunOptions("base", str(folder), str(OUTPUT / "tried.npz"), language=task.language, overwrite=True)

    def train(steps: int) -> float:
        training = TrainingOptions(iters=steps, val_clips=1, steps_per_eval=10**6)
        tried = Run(options, training)
        tried.examples["valid"] = []
        start = time.process_time()
        tried.train(METHODS[method].Config())
        return time.process_time() - start

    return (train(TRIED + 4) - train(4)) / TRIED


def metrics(adapter: Path) -> list[dict]:
    """Return the lines of the metrics of a run."""
    path = adapter.with_name(f"{adapter.stem}_metrics.jsonl")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def measure(name: str, method: str, minutes: float, seed: int, step: float) -> dict:
    """Train with a method, test the adapter, and return what was found."""
    task = TASKS[name]
    folder, iters = data_folder(name, task, None), round(60 * minutes / step)
    adapter = OUTPUT / f"{name}_{method}_{seed}.npz"
    start = time.perf_counter()
    run("lora", "--train", "--fine-tune-type", method, "--data", folder, "--language", task.language, "--iters", iters,
        "--seed", seed, "--val-clips", 24, "--steps-per-eval", -(-iters // 2), "--best-by", "loss",
        "--adapter-file", adapter, "--overwrite", *OPTIONS.get(method, ()))  # fmt: skip
    wall = (time.perf_counter() - start) / 60
    lines = metrics(adapter)
    steps = [line for line in lines if line["event"] == "step"]
    best = not lines[-1]["base_is_best"]
    scores = score(folder, task, adapter if best else None, greedy=True)
    return {
        "task": name,
        "method": method,
        "seed": seed,
        "iters": iters,
        "core_minutes": round(iters * step / 60, 1),
        "wall_minutes": round(wall, 1),
        "trainable_parameters": lines[0]["trainable_parameters"],
        "learning_rate": lines[0]["settings"]["learning_rate"],
        "peak_memory_gb": steps[-1]["speed/peak_memory_gb"],
        "megabytes": round(adapter.stat().st_size / 1e6, 1) if best else None,
        "base_is_best": not best,
        **scores,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the methods of --fine-tune-type at the same minutes.")
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("--minutes", type=float, default=10, help="of training on one core")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=[*METHODS])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    args = parser.parse_args()
    OUTPUT.mkdir(parents=True, exist_ok=True)
    folder = data_folder(args.task, TASKS[args.task], None)
    for method in args.methods:
        step = seconds_of_step(folder, TASKS[args.task], method)
        print(f"{method}: {step:.2f} s a step", flush=True)
        for seed in args.seeds:
            found = measure(args.task, method, args.minutes, seed, step)
            results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else []
            results.append(found)
            RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            print({key: value for key, value in found.items() if key not in ("texts", "references")}, flush=True)


if __name__ == "__main__":
    main()
