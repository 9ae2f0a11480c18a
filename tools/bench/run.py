"""Time tasks of this package and of its peers in one run, in turns, and print medians and ratios.

    python -m tools.bench.run step encoder --torch A/bin/python --mlx-whisper B/bin/python --ctranslate2 C/bin/python

All have OpenAI's base (the extra `base`) and the same input. A contender whose Python is not given is left out. Each
runs in a process of its own, which is idle while another one computes. The results go to tools/bench/results.json.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import numpy as np

from mlx_whisper_lora.convert import convert
from mlx_whisper_lora.whisper.audio.constants import SAMPLE_RATE
from mlx_whisper_lora.whisper.checkpoints.save import ExportOptions
from tools.real.base import write_base
from tools.real.recordings import recording

ROOT = Path(__file__).parents[2]
RESULTS = Path(__file__).parent / "results.json"
OURS, TORCH, MLX, CTRANSLATE2 = "ours", "torch", "mlx_whisper", "ctranslate2"
# Each task by its name here: the contenders, and the name of the task of each of them.
TASKS: dict[str, dict[str, tuple[str, str]]] = {
    "step": {
        "PEFT (30 s)": (TORCH, "step"),
        "plain MLX (30 s)": (MLX, "step"),
        "ours, 30 s": (OURS, "step-30s"),
        "ours, 5 s": (OURS, "step"),
        "ours, 5 s, all blocks": (OURS, "step-all-blocks"),
    },
    "step-100-labels": {"PEFT (30 s)": (TORCH, "step-100-labels"), "ours, 5 s": (OURS, "step-100-labels")},
    "encoder": {"PyTorch": (TORCH, "encoder"), "ours": (OURS, "encoder")},
    "short": {
        "openai-whisper": (TORCH, "short"),
        "faster-whisper": (CTRANSLATE2, "short"),
        "mlx-whisper": (MLX, "short"),
        "ours": (OURS, "short"),
    },
    "long": {
        "openai-whisper": (TORCH, "long"),
        "faster-whisper": (CTRANSLATE2, "long"),
        "mlx-whisper": (MLX, "long"),
        "ours": (OURS, "long"),
        "ours, batches of 8": (OURS, "long-batched"),
    },
}


def write_files(folder: Path) -> None:
    """Write base in the layouts of all contenders, and the samples of two recordings."""
    write_base(folder / "mlx")
    for name in ("hf", "ct2"):
        convert("base", str(folder / name), ExportOptions(export=name, dtype="float32"))
    long = recording("long_recordings/audio/long_00001.ogg")
    np.save(folder / "long.npy", long)
    np.save(folder / "short.npy", long[: 5 * SAMPLE_RATE])
    (folder / "languages.json").write_text(json.dumps({"long": "en", "short": "en"}))


class Worker:
    """A contender in a process of its own."""

    def __init__(self, python: str, contender: str, task: str, folder: Path):
        command = [python, "-m", "tools.bench.worker", task, contender, str(folder)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT
        )
        self._read()

    def repeat(self) -> dict:
        """Repeat the task; return its seconds and the peak of the memory in MB."""
        assert self.process.stdin is not None
        print("again", file=self.process.stdin, flush=True)
        return self._read()

    def _read(self) -> dict:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{self.process.args} ended with exit code {self.process.wait()}")
        return json.loads(line)

    def end(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def time_task(name: str, pythons: dict[str, str], rounds: int, folder: Path) -> dict[str, dict]:
    """Return the median seconds and the memory of each contender of a task."""
    workers = {
        title: Worker(pythons[contender], contender, task, folder)
        for title, (contender, task) in TASKS[name].items()
        if contender in pythons
    }
    found: dict[str, list[dict]] = {title: [] for title in workers}
    for i in range(rounds + 1):  # the first does not count
        for title, worker in workers.items():
            answer = worker.repeat()
            if i > 0 or rounds == 0:
                found[title].append(answer)
    for worker in workers.values():
        worker.end()
    return {
        title: {"seconds": round(median(each["seconds"] for each in answers), 4), "MB": answers[-1]["MB"]}
        for title, answers in found.items()
    }


def table(name: str, results: dict[str, dict]) -> str:
    """Return the results of a task in Markdown. The ratio is the time of a contender by that of ours, the last row."""
    ours = list(results.values())[-1]["seconds"]
    lines = [[name, "seconds", "of the last row", "peak, GB"], ["---"] * 4]
    for title, row in results.items():
        lines.append([title, f"{row['seconds']:.3g}", f"{row['seconds'] / ours:.2f}", f"{row['MB'] / 1000:.1f}"])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def machine() -> dict[str, object]:
    """Describe this machine."""
    model = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {"processor": model[0].split(": ")[1] if model else platform.processor(), "cores": os.cpu_count()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("tasks", nargs="*", default=list(TASKS), metavar="TASK", help=f"of {', '.join(TASKS)}")
    parser.add_argument("--rounds", type=int, default=5, help="repetitions that count")
    for name in (TORCH, MLX, CTRANSLATE2):
        parser.add_argument(f"--{name.replace('_', '-')}", metavar="PYTHON", help=f"Python with {name}")
    args = parser.parse_args()
    pythons = {name: getattr(args, name) for name in (TORCH, MLX, CTRANSLATE2) if getattr(args, name)}
    pythons[OURS] = sys.executable
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        write_files(Path(folder))
        for name in args.tasks:
            found = time_task(name, pythons, args.rounds, Path(folder))
            print(table(name, found), end="\n\n", flush=True)
            results[name] = {"machine": machine(), "results": found}
            RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
