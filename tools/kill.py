"""End commands by signals at random moments, and check what they leave behind.

    python -m tools.kill

Trains, fuses, converts and transcribes with the bundled model, and sends SIGKILL, SIGTERM or SIGINT after a random part
of the time that the command takes. After each trial:

- every file under its own name is complete: adapters load, models have the weights of the old or of the new one, and
  transcripts are those of a run that nobody ended;
- every message is true: a file that was reported is there, and the command to continue with names one;
- a command that could end by itself shows no traceback, and has the exit code of its signal.

At last, each command runs to its end once more. Then no temporary file may be left. Prints a line for each fault and a
table, and exits with 1 if there are faults.
"""

import argparse
import hashlib
import json
import os
import random
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import mlx.core as mx
import soundfile
from mlx.utils import tree_flatten

from mlx_whisper_lora.adapters.adapter_file import read_adapter
from mlx_whisper_lora.data.sources import load_clips
from mlx_whisper_lora.whisper.assets import DEMO_CLIPS
from mlx_whisper_lora.whisper.audio.constants import SAMPLE_RATE
from mlx_whisper_lora.whisper.audio.load import load_audio
from mlx_whisper_lora.whisper.checkpoints.layout import CONFIG_FILE
from mlx_whisper_lora.whisper.checkpoints.load import load_model

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
REPORTED = re.compile(r"(?:[Ss]aved (?:the newest )?adapter to|Fused \S+ into its base:|Converted \S+:) (\S+)")
WROTE = re.compile(r"^(?:Wrote|Interrupted: .* are in) (.+)$", re.MULTILINE)
QUICK = (
    "--iters 6 --steps-per-eval 2 --steps-per-report 1 --batch-size 2 --lora-layers 1 --full-context-share 0 --pack 0"
)


@dataclass(frozen=True)
class End:
    """The way a command ended."""

    code: int
    out: str
    err: str
    seconds: float


@dataclass
class Job:
    """A command that is ended again and again.

    Attributes:
        name: the command.
        variants: command lines whose outputs replace each other.
        outputs: the folder of the outputs.
        check: yields the faults of the outputs.
        seconds: how long the command takes.
    """

    name: str
    variants: list[list[str]]
    outputs: Path
    check: Callable[[], Iterator[str]]
    seconds: float = 0.0


def start(folder: Path, arguments: list[str]) -> subprocess.Popen:
    """Start a command of the package in a folder, whose tmp/ it uses for temporary files."""
    return subprocess.Popen(
        [sys.executable, "-m", "mlx_whisper_lora", *arguments],
        cwd=folder,
        env={**os.environ, "TMPDIR": str(folder / "tmp"), "PYTHONPATH": str(Path(__file__).parents[1])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A program in the background ignores Control-C, and its children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def run(folder: Path, arguments: list[str], number: int | None = None, delay: float = 0.0) -> End:
    """Run a command, and send a signal after `delay` seconds if one is given."""
    began = time.monotonic()
    process = start(folder, arguments)
    if number is not None:
        try:
            process.wait(delay)
        except subprocess.TimeoutExpired:
            process.send_signal(number)
    out, err = process.communicate(timeout=300)
    return End(process.returncode, out, err, time.monotonic() - began)


def faults_of_end(folder: Path, end: End, number: int) -> Iterator[str]:
    """Yield what is wrong with the messages and the exit code of a command that got a signal."""
    starting = not end.out and "mlx_whisper_lora/" not in end.err  # Python itself was still starting
    if "Traceback" in end.err and not starting:
        yield f"a traceback: {end.err[-1500:]}"
    if end.code not in (0, -number, 128 + number) and not starting:
        yield f"exit code {end.code}"
    names = [*REPORTED.findall(end.out), *(name for line in WROTE.findall(end.out) for name in line.split(", "))]
    yield from (f"{name} was reported, and is missing" for name in names if not (folder / name).exists())
    saved = "Interrupted: saved" in end.out
    last = (end.err.splitlines() or [""])[-1]
    if saved and end.code != -signal.SIGKILL:
        words = shlex.split(last)
        if "--resume-adapter-file" not in words or not (folder / words[-1]).exists():
            yield f"the last line is not a command to continue with: {last}"


def adapter_faults(outputs: Path) -> Iterator[str]:
    """Yield the adapters that cannot be read."""
    for path in outputs.glob("[!.]*.npz"):
        try:
            read_adapter(path)
        except ValueError as error:
            yield str(error)


def weights_hash(folder: Path) -> str:
    """Hash the weights of a model."""
    digest = hashlib.sha256()
    for name, array in sorted(tree_flatten(load_model(folder).parameters())):
        digest.update(name.encode() + bytes(memoryview(array.view(mx.uint8))))
    return digest.hexdigest()


def model_faults(folder: Path, known: set[str]) -> Iterator[str]:
    """Yield what is wrong with a model folder: it may lack its configuration, or else has known weights."""
    try:
        found = weights_hash(folder) if folder.exists() else None
    except ValueError as error:
        if (folder / CONFIG_FILE).exists():
            yield f"looks complete, but does not load: {error}"
        return
    if found and found not in known:
        yield f"{folder.name} has weights of two models"


def transcript_faults(outputs: Path, known: dict[str, str]) -> Iterator[str]:
    """Yield the transcripts that differ from those of a run that nobody ended."""
    for path in outputs.glob("[!.]*"):
        if path.name in known and path.read_text(encoding="utf-8") != known[path.name]:
            yield f"{path.name} is not complete"


def make_jobs(folder: Path) -> list[Job]:
    """Write a few clips, run each command to its end, and return the commands with checks of their outputs."""
    clips = load_clips(DEMO_CLIPS)
    for part in ("tmp", "clips", "train", "fuse", "convert", "transcribe"):
        (folder / part).mkdir()
    for split, count in (("train", 6), ("valid", 1)):
        rows = []
        for i, clip in enumerate(clips[split][:count]):
            samples = load_audio(clip.audio, start=clip.start, end=clip.end)
            soundfile.write(folder / "clips" / f"{split}{i}.wav", samples, SAMPLE_RATE)
            rows.append({"audio": f"{split}{i}.wav", "text": clip.text, "language": "en"})
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / "clips" / f"{split}.jsonl").write_text(lines, encoding="utf-8")

    train = shlex.split(f"lora --train --model demo --data clips --adapter-file train/a.npz --overwrite {QUICK}")
    fuse = shlex.split("fuse --adapter-file a_last.npz --save-path fuse/model")
    convert = shlex.split("convert --save-path convert/model")
    transcribe = shlex.split("transcribe --model demo --language en --verbose False -f all --output-dir transcribe")
    transcribe += [f"clips/train{i}.wav" for i in range(4)]
    models: set[str] = set()
    transcripts: dict[str, str] = {}
    jobs = [
        Job("train", [train], folder / "train", lambda: adapter_faults(folder / "train")),
        Job("fuse", [fuse, [*fuse, "-q"]], folder / "fuse", lambda: model_faults(folder / "fuse" / "model", models)),
        Job(
            "convert",
            [convert, [*convert, "-q"]],
            folder / "convert",
            lambda: model_faults(folder / "convert" / "model", models),
        ),
        Job(
            "transcribe",
            [transcribe],
            folder / "transcribe",
            lambda: transcript_faults(folder / "transcribe", transcripts),
        ),
    ]
    for job in jobs:
        for variant in job.variants:
            job.seconds = finish(folder, variant)
            if job.name in ("fuse", "convert"):
                models.add(weights_hash(job.outputs / "model"))
        if job.name == "train":
            (folder / "a_last.npz").write_bytes((job.outputs / "a_last.npz").read_bytes())
    transcripts |= {path.name: path.read_text(encoding="utf-8") for path in (folder / "transcribe").iterdir()}
    return jobs


def finish(folder: Path, arguments: list[str]) -> float:
    """Run a command to its end. Return how many seconds it took."""
    end = run(folder, arguments)
    if end.code != 0:
        raise SystemExit(f"{shlex.join(arguments)} failed: {end.err}")
    return end.seconds


def leftovers(folder: Path) -> list[str]:
    """Return the temporary files, folders and partial transcripts that lie around."""
    return [
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if ".partial" in path.name or path.parent.name == "tmp"
    ]


def trials(folder: Path, count: int, seed: int) -> tuple[Counter, list[str]]:
    """End each command by each signal.

    Args:
        folder: an empty folder.
        count: the number of trials for each signal.
        seed: all that chance depends on, but for the speed of the machine.

    Returns:
        The number of (command, signal, outcome), and a line for each fault.
    """
    chance, counts, faults = random.Random(seed), Counter(), []
    jobs = make_jobs(folder)
    for i in range(count * len(SIGNALS)):
        number, job = SIGNALS[i % len(SIGNALS)], jobs[i // len(SIGNALS) % len(jobs)]
        delay = chance.uniform(0, 1.1) * job.seconds
        before = set(leftovers(folder))
        end = run(folder, chance.choice(job.variants), number, delay)
        found = [*faults_of_end(folder, end, number), *job.check()]
        counts[job.name, number, "ended" if end.code else "was faster"] += 1
        left = [name for name in set(leftovers(folder)) - before if Path(name).name.startswith(".")]
        counts[job.name, number, "left a temporary file"] += bool(left)
        for fault in found:
            faults.append(f"{job.name} {number.name} after {delay:.2f} s: {fault}")
            print(faults[-1], flush=True)
    for job in jobs:
        finish(folder, job.variants[0])
        faults += [f"{job.name}: {fault}" for fault in job.check()]
    faults += [f"{name} is left after the last run" for name in leftovers(folder)]
    return counts, faults


def main() -> None:
    parser = argparse.ArgumentParser(description="End commands by signals at random moments.")
    parser.add_argument("--count", type=int, default=50, help="trials for each of three signals")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        counts, faults = trials(Path(folder), args.count, args.seed)
    for name, number in sorted({key[:2] for key in counts}):
        outcomes = ("ended", "was faster", "left a temporary file")
        print(f"{name:11}{number.name:8}" + "  ".join(f"{counts[name, number, how]:3} {how}" for how in outcomes))
    print("\n".join(faults) or "no faults")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
