"""Compare the loss of training in bfloat16 and in float16 with that in float32, on OpenAI's base and real recordings.

    OPENBLAS_NUM_THREADS=1 python -m tools.real.precision malayalam --iters 50

The three runs are the command that a user types, with the same seed, and so with the same batches. Results go to
tools/real/precision.json: the losses of each step, the mean difference from float32 over the run (the curves), and the
largest one of a step. Half-precision is slow on a CPU, which has no instructions for it.
"""

import argparse
from pathlib import Path

import numpy as np

from tools.real.adapt import OUTPUT, TASKS, data_folder, metrics, run
from tools.real.results import add_result, read_results

RESULTS = Path(__file__).parent / "precision.json"


def losses(name: str, dtype: str, iters: int, seed: int) -> list[float]:
    """Train in a type, and return the loss of each step."""
    task = TASKS[name]
    adapter = OUTPUT / f"{name}_{dtype}.npz"
    run("lora", "--train", "--model", "base", "--data", data_folder(name, task, None), "--language", task.language,
        "--iters", iters, "--seed", seed, "--dtype", dtype, "--steps-per-report", 1, "--val-clips", 1,
        "--steps-per-eval", iters, "--best-by", "loss", "--adapter-file", adapter, "--overwrite")  # fmt: skip
    return [each["train/loss"] for each in metrics(adapter) if each["event"] == "step"]


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare training in half precision with that in float32.")
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("--iters", type=int, required=True, help="training steps")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16", "float16"])
    args = parser.parse_args()
    OUTPUT.mkdir(parents=True, exist_ok=True)
    for dtype in args.dtypes:
        about = {"task": args.task, "iters": args.iters, "seed": args.seed}
        same = [each for each in read_results(RESULTS) if about.items() <= each.items()]
        if any(each["dtype"] == dtype for each in same):
            continue
        found = losses(args.task, dtype, args.iters, args.seed)
        numbers: dict[str, object] = {}
        if exact := next((each["losses"] for each in same if each["dtype"] == "float32"), None):
            reference = np.array(exact)
            differences = np.abs(np.array(found) - reference) / reference
            numbers = {
                "mean_percent": round(100 * abs(np.mean(found) / reference.mean() - 1), 3),
                "largest_percent_of_a_step": round(100 * differences.max(), 3),
            }
        add_result(RESULTS, about | {"dtype": dtype, **numbers, "losses": found})


if __name__ == "__main__":
    main()
