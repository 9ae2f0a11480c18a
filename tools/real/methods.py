"""Measure the methods of --fine-tune-type on OpenAI's base and recordings of real people, at the same minutes each.

    OPENBLAS_NUM_THREADS=1 python -m tools.real.methods malayalam --minutes 10
    OPENBLAS_NUM_THREADS=1 python -m tools.real.methods speaker --minutes 10 --rows lora dora --seeds 1 2

A short run of each row of the table gives the processor time of a step; so many steps are then trained as fit the
minutes of one core, so that other work on the machine decides nothing. Training and test are the commands that a user
types. Results go to tools/real/methods.json; rows that it has are skipped.
"""

import argparse
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.real.adapt import OUTPUT, TASKS, Task, data_folder, metrics, run, score
from tools.real.results import add_result, read_results

RESULTS = Path(__file__).parent / "methods.json"
WARMED, TRIED = 4, 28  # steps of two short runs; the difference of their times is that of a step
FOUR_BITS = OUTPUT / "base_4bit"


@dataclass(frozen=True)
class Row:
    """A row of the table: a method, its options, and its base."""

    method: str
    options: Sequence[str] = ()
    model: str = "base"


# A few minutes want a higher rate than the default of all weights, which is for long runs. On 40 steps of Malayalam,
# 1e-4 gave a loss of 1.33, and 1e-5 of 1.48; soft prompts 2.98 at their default of 1e-3, and 1.99 at 2e-2.
HIGH = ("--learning-rate", "1e-4")
ROWS = {
    "lora": Row("lora"),
    "dora": Row("dora"),
    "lora over 4 bits": Row("lora", model=str(FOUR_BITS)),
    "adapter": Row("adapter"),
    "full": Row("full", HIGH),
    "encoder": Row("encoder", HIGH),
    "decoder": Row("decoder", HIGH),
    "bitfit": Row("bitfit"),
    "reprogram with adapters": Row("reprogram", ("--reprogram-adapter-dim", "64")),
    "prompt": Row("prompt", ("--learning-rate", "2e-2")),
    "reprogram": Row("reprogram", ("--learning-rate", "1e-2")),
}


def train(folder: Path, task: Task, row: Row, adapter: Path, iters: int, *options: object) -> None:
    """Run the command that trains a row."""
    run("lora", "--train", "--fine-tune-type", row.method, "--model", row.model, "--data", folder, "--language",
        task.language, "--iters", iters, "--best-by", "loss", "--adapter-file", adapter, "--overwrite", *row.options,
        *options)  # fmt: skip


def seconds_of_step(folder: Path, task: Task, row: Row, adapter: Path) -> float:
    """Return the processor time of a training step, over several steps with all that they need."""
    used = []
    for iters in (WARMED, TRIED):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        train(folder, task, row, adapter, iters, "--val-clips", 1, "--steps-per-eval", iters)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return (used[1] - used[0]) / (TRIED - WARMED)


def measure(name: str, title: str, minutes: float, seed: int, step: float) -> dict:
    """Train a row of the table, test the adapter, and return what was found."""
    task, row = TASKS[name], ROWS[title]
    folder, iters = data_folder(name, task, None), round(60 * minutes / step)
    adapter = adapter_of(name, title, seed)
    start = time.perf_counter()
    train(folder, task, row, adapter, iters, "--seed", seed, "--val-clips", 24, "--steps-per-eval", -(-iters // 2))
    wall = (time.perf_counter() - start) / 60
    lines = metrics(adapter)
    steps = [line for line in lines if line["event"] == "step"]
    best = not lines[-1]["base_is_best"]
    return {
        "task": name,
        "row": title,
        "options": [row.method, *row.options],
        "seed": seed,
        "iters": iters,
        "core_minutes": round(iters * step / 60, 1),
        "wall_minutes": round(wall, 1),
        "trainable_parameters": lines[0]["trainable_parameters"],
        "learning_rate": lines[0]["settings"]["learning_rate"],
        "peak_memory_gb": steps[-1]["speed/peak_memory_gb"],
        "megabytes": round(adapter.stat().st_size / 1e6, 1) if best else None,
        "base_is_best": not best,
        **score(folder, task, adapter if best else None, greedy=True, model=row.model),
    }


def adapter_of(name: str, title: str, seed: int) -> Path:
    """Return the adapter file of a row."""
    return OUTPUT / f"{name}_{title.replace(' ', '_')}_{seed}.npz"


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the methods of --fine-tune-type at the same minutes.")
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("--minutes", type=float, default=10, help="of training on one core")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=[*ROWS])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    args = parser.parse_args()
    OUTPUT.mkdir(parents=True, exist_ok=True)
    folder = data_folder(args.task, TASKS[args.task], None)
    if any(ROWS[title].model == str(FOUR_BITS) for title in args.rows) and not FOUR_BITS.exists():
        run("convert", "--model", "base", "-q", "--dtype", "float32", "--save-path", FOUR_BITS)
    for title in args.rows:
        done = {found["seed"] for found in read_results(RESULTS) if (found["task"], found["row"]) == (args.task, title)}
        seeds = [seed for seed in args.seeds if seed not in done]
        if not seeds:
            continue
        step = seconds_of_step(folder, TASKS[args.task], ROWS[title], adapter_of(args.task, title, -1))
        print(f"{title}: {step:.2f} s a step", flush=True)
        for seed in seeds:
            add_result(RESULTS, measure(args.task, title, args.minutes, seed, step))


if __name__ == "__main__":
    main()
