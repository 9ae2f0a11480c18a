"""Commands in processes of their own."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mlx_whisper_lora.whisper.stopping import SIGNALS
from tools.ports import free_ports

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Outcome:
    """The way a command ended."""

    code: int  # exit code
    out: str  # standard output
    err: str  # standard error


def start_python(*arguments: str | Path, **environment: str) -> subprocess.Popen:
    """Start Python in a process of its own, with the package importable from anywhere."""
    paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": paths, **environment},
    )


def run_python(*arguments: str | Path, **environment: str) -> Outcome:
    """Run Python in a process of its own and wait for its end."""
    process = start_python(*arguments, **environment)
    out, err = process.communicate(timeout=600)
    return Outcome(process.returncode, out, err)


def start_together(count: int, folder: Path, *arguments: str | Path) -> list[subprocess.Popen]:
    """Start processes that find each other as under `mlx.launch --backend ring`; `folder` gets the host file."""
    hosts = folder / "hosts.json"
    hosts.write_text(json.dumps([[f"127.0.0.1:{port}"] for port in free_ports(count)]))
    return [start_python(*arguments, MLX_RANK=str(rank), MLX_HOSTFILE=str(hosts)) for rank in range(count)]


def run_together(count: int, folder: Path, *arguments: str | Path) -> list[Outcome]:
    """Run processes that find each other, and wait for their ends."""
    processes = start_together(count, folder, *arguments)
    outputs = [process.communicate(timeout=120) for process in processes]
    return [Outcome(process.returncode, *output) for process, output in zip(processes, outputs, strict=True)]


def fake_ffmpeg(folder: Path, script: str) -> str:
    """Write a program called ffmpeg that runs `script` in a shell; return the PATH that finds it."""
    program = folder / "ffmpeg"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


@contextlib.contextmanager
def signals_as_they_were() -> Iterator[None]:
    """Undo what a command that runs in this process does to signals."""
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    signal.set_wakeup_fd(-1)
    for number, handler in handlers.items():
        signal.signal(number, handler)
