"""Time tasks of this package and of its peers in one run, in turns, and print medians and ratios.

    python -m tools.bench.run step encoder --torch A/bin/python --mlx-whisper B/bin/python --ctranslate2 C/bin/python

`make bench` installs the peers and runs all tasks; `python -m tools.bench.gpu` times them on a GPU. All have OpenAI's
base (the extra `base`) and the same input. A contender whose Python is not given is left out. Each runs in a process of
its own, which is idle while another one computes.

Beside each time is its floor (tools/bench/floors.py), from the rates of a large product and of memory that are measured
in the same turns. The results go to tools/bench/results.json.
"""

import argparse
import datetime
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
from mlx_whisper_lora.whisper.assets import DEMO_RECORDING
from mlx_whisper_lora.whisper.audio.constants import SAMPLE_RATE
from mlx_whisper_lora.whisper.audio.load import load_audio
from mlx_whisper_lora.whisper.checkpoints.load import load_model
from mlx_whisper_lora.whisper.checkpoints.save import ExportOptions
from mlx_whisper_lora.whisper.transcription.long_form import transcribe
from tools.bench.floors import Heard, Rates, floor
from tools.bench.tasks import OURS, PEERS, TASKS, Row
from tools.bench.tasks_ours import NUMBERS, WIDE
from tools.real.base import write_base
from tools.real.recordings import RECORDINGS

ROOT = Path(__file__).parents[2]
RESULTS = Path(__file__).parent / "results.json"
# In turns with the contenders of each task: the rates that floors are computed from.
RATES = {"product": Row(OURS, "product"), "reading": Row(OURS, "reading")}


def write_files(folder: Path) -> None:
    """Write base in the layouts of all contenders."""
    write_base(folder / "mlx")
    for name, dtype in (("hf", "float32"), ("ct2", "float32"), ("ggml", "float16")):
        convert("base", str(folder / name), ExportOptions(export=name, dtype=dtype))


def write_recordings(folder: Path, names: set[str]) -> dict[str, Heard]:
    """Write the samples of recordings. Return what our package hears in them, or nothing for those not in `names`.

    They are four minutes of English and their first 5 s, or two minutes of the bundled recording.
    """
    path = RECORDINGS / "long_recordings/audio/long_00001.ogg"
    long = load_audio(path if path.exists() else DEMO_RECORDING / "recording.opus")
    recordings = {"long": long, "short": long[: 5 * SAMPLE_RATE]}
    heard = {}
    for name, samples in recordings.items():
        np.save(folder / f"{name}.npy", samples)
        if name in names:
            heard[name] = hear(samples)
    rows = {name: {"language": "en", "tokens": heard[name].tokens if name in heard else 0} for name in recordings}
    (folder / "recordings.json").write_text(json.dumps(rows))
    return heard


def hear(samples: np.ndarray) -> Heard:
    """Transcribe a recording in English, and count its windows and tokens."""
    segments = transcribe(load_model("base"), samples, language="en", temperature=0.0)["segments"]
    windows = len({segment["seek"] for segment in segments})
    return Heard(windows, windows + sum(len(segment["tokens"]) for segment in segments))


class Worker:
    """A contender in a process of its own.

    Attributes:
        versions: of its packages.
    """

    def __init__(self, python: str, row: Row, folder: Path):
        command = [python, "-m", "tools.bench.worker", row.task, row.contender, str(folder)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT
        )
        self.versions: dict[str, str] = self._read()

    def repeat(self) -> dict:
        """Repeat the task; return its seconds and the peaks of the memory in MB."""
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


def time_rows(rows: dict[str, Row], pythons: dict[str, str], rounds: int, folder: Path) -> tuple[dict, dict[str, str]]:
    """Return the median seconds and the memory of each row, and the versions of all packages."""
    workers = {
        title: Worker(pythons[row.contender], row, folder) for title, row in rows.items() if row.contender in pythons
    }
    found: dict[str, list[dict]] = {title: [] for title in workers}
    takes_minutes = "long" in {row.task for row in rows.values()}
    for i in range(0 if rounds == 0 or takes_minutes else -1, max(rounds, 1)):  # the first does not count
        for title, worker in workers.items():
            answer = worker.repeat()
            if i >= 0:
                found[title].append(answer)
    versions: dict[str, str] = {}
    for worker in workers.values():
        versions |= worker.versions
        worker.end()
    results = {
        title: {**answers[-1], "seconds": round(median(each["seconds"] for each in answers), 5)}
        for title, answers in found.items()
    }
    return results, dict(sorted(versions.items()))


def time_task(name: str, pythons: dict[str, str], rounds: int, folder: Path, heard: dict[str, Heard]) -> dict:
    """Return the results of a task with their floors, and what they were measured on."""
    rows = TASKS[name]
    results, versions = time_rows(RATES | rows, pythons, rounds, folder)
    product, reading = (results.pop(title)["seconds"] for title in RATES)
    rates = Rates(2 * WIDE**3 / product, 4 * NUMBERS / reading)
    for title, result in results.items():
        if work := rows[title].work:
            result["floor"] = round(floor(work(heard), rates), 5)
    measured = {"GFLOP/s": round(rates.operations / 1e9, 1), "GB/s": round(rates.bytes / 1e9, 1)}
    return {**setting(), "versions": versions, "rates": measured, "results": results}


def table(name: str, results: dict[str, dict]) -> str:
    """Return the results of a task in Markdown, with times as multiples of the last row's and of their floors."""
    ours = list(results.values())[-1]["seconds"]
    lines = [[name, "seconds", "of the last row", "floor", "over the floor", "peak, GB"], ["---"] * 6]
    for title, row in results.items():
        least = row.get("floor")
        floors = [f"{least:.3g}", f"{row['seconds'] / least:.2f}"] if least else ["", ""]
        memory = f"{(row.get('GPU MB') or row['MB']) / 1000:.1f}"
        lines.append([title, f"{row['seconds']:.3g}", f"{row['seconds'] / ours:.2f}", *floors, memory])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def setting() -> dict[str, object]:
    """Return the machine, the date and the commit of a measurement."""
    describe = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    commit = subprocess.run(describe, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False).stdout.strip()
    machine = {"processor": processor(), "cores": os.cpu_count(), "system": platform.platform()}
    return {"machine": machine, "date": datetime.date.today().isoformat(), "commit": commit}


def processor() -> str:
    """Return the name of the processor."""
    if sys.platform == "darwin":
        return subprocess.check_output(["sysctl", "-n", "machdep.cpu.brand_string"], text=True).strip()
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), platform.processor())


def parse_args(description: str | None, tasks: dict, peers: tuple[str, ...]) -> argparse.Namespace:
    """Return the tasks, the rounds, and the Pythons of the contenders by their names."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("tasks", nargs="*", default=list(tasks), metavar="TASK", help=f"of {', '.join(tasks)}")
    parser.add_argument(
        "--rounds", type=int, default=5, help="repetitions that count; 0 tries the tasks, and keeps nothing"
    )
    for name in peers:
        parser.add_argument(f"--{name.replace('_', '-')}", metavar="PYTHON", help=f"Python with {name}")
    args = parser.parse_args()
    args.pythons = {name: getattr(args, name) for name in peers if getattr(args, name)} | {OURS: sys.executable}
    return args


def main() -> None:
    args = parse_args(__doc__, TASKS, PEERS)
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        write_files(Path(folder))
        heard = write_recordings(Path(folder), {"long", "short"}.intersection(args.tasks))
        for name in args.tasks:
            results[name] = time_task(name, args.pythons, args.rounds, Path(folder), heard)
            rates = ", ".join(f"{rate} {unit}" for unit, rate in results[name]["rates"].items())
            print(f"{table(name, results[name]['results'])}\n\nThe machine: {rates}\n", flush=True)
            if args.rounds:
                RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
