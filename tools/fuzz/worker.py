"""The process that loads inputs, so that crashes, hangs and memory are its own."""

import contextlib
import functools
import importlib
import io
import json
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlx_whisper_lora.adapters.adapter_file import AdapterError, fingerprint
from mlx_whisper_lora.adapters.loading import load_model
from mlx_whisper_lora.cli.run import run_command
from mlx_whisper_lora.data.clip import DataError
from mlx_whisper_lora.data.dataset import build_examples
from mlx_whisper_lora.data.sources import load_clips
from mlx_whisper_lora.whisper.audio.constants import FRAMES_PER_SECOND
from mlx_whisper_lora.whisper.audio.errors import AudioError
from mlx_whisper_lora.whisper.audio.log_mel import SpooledLogMel
from mlx_whisper_lora.whisper.errors import CheckpointError
from mlx_whisper_lora.whisper.model.whisper import Whisper
from tools.fuzz.case import Case, Outcome
from tools.fuzz.good_files import ROOT, seeded_model

TIMEOUT = 60  # seconds an input; a busy machine needs them
MEMORY = 2 * 10**9  # bytes resident
ADDRESS_SPACE = 8 * 2**30  # bytes


def load_audio(path: str) -> Any:
    """Read a recording as `transcribe` does, and return its length."""
    return {"seconds": SpooledLogMel(Path(path), 80).n_frames / FRAMES_PER_SECOND}


def load_whisper(name: str) -> Any:
    """Load a model, and return what its tokens mean, or whether it is the seeded one."""
    model = load_model(name)
    if model.knows_tokens:
        model.tokenizer()
        return {"tokens": model.vocabulary.special_tokens()}
    return {"model": "mlx" if fingerprint(model) == fingerprint(seeded_model()) else "another"}


def load_adapter(base: str, path: str) -> Any:
    load_model(base, adapter_file=path)


@functools.cache
def _demo_model() -> Whisper:
    return load_model("demo")


def load_table(folder: str) -> Any:
    """Read the clips of a folder as `lora` does, and return the clips, and what is reported of others."""
    bad: list[DataError] = []
    clips = [clip for split in load_clips(folder, bad).values() for clip in split]
    built = build_examples(clips, _demo_model(), "en", bad=bad)
    used = [[Path(str(clip.audio)).name, clip.text] for clip in clips]
    named = [str(each) for each in bad]
    unread = {Path(str(clip.audio)).name for clip in clips if any(f"{clip.origin}:" in line for line in named)}
    unread |= {Path(str(dropped.clip.audio)).name for dropped in built.dropped}
    if any(str(folder) not in line for line in named):
        raise ValueError(f"no file in one of {named}")
    return {"clips": [each for each in used if each[0] not in unread], "bad": named}


def run_transcribe(*arguments: str) -> Any:
    """Run the command, and return what it printed and its exit code."""
    command = importlib.import_module("mlx_whisper_lora.transcribe")
    sys.argv = ["transcribe", *arguments]
    out, err, code = io.StringIO(), io.StringIO(), None
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            run_command(command.main, command.build_parser())
        except SystemExit as ending:
            code = ending.code
    return {"out": out.getvalue(), "err": err.getvalue(), "code": code}


LOADERS: dict[str, Callable[..., Any]] = {
    "audio": load_audio,
    "model": load_whisper,
    "adapter": load_adapter,
    "table": load_table,
    "transcribe": run_transcribe,
}


def serve() -> None:
    """Load inputs, one a line of standard input, and report the outcome of each."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    print(flush=True)
    for line in sys.stdin:
        loader, given, named = json.loads(line)
        facts = None
        try:
            with contextlib.redirect_stderr(io.StringIO()):
                facts = LOADERS[loader](*given)
            how, message = "read", ""
        except (AudioError, AdapterError, CheckpointError, DataError) as error:
            message = str(error)
            how = "refused" if named in message and "\n" not in message else "fault"
        except BaseException as error:
            how, message = "fault", f"{type(error).__name__}: {error}"
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        print(json.dumps([how, message, facts, peak]), flush=True)


class Worker:
    """That process.

    Args:
        environment: variables beside those of this process.
    """

    def __init__(self, environment: dict[str, str]):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tools.fuzz", "--worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # the MP3 decoder talks a lot
            text=True,
            cwd=ROOT,
            env=os.environ | environment,
        )
        self.process.stdout.readline()  # it is ready: its imports do not count as an input's time

    def load(self, case: Case) -> Outcome:
        """Load an input. The worst faults end the process."""
        watchdog = threading.Timer(TIMEOUT, self.process.kill)
        watchdog.start()
        self.process.stdin.write(json.dumps([case.loader, case.given, case.named]) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        in_time = watchdog.is_alive()
        watchdog.cancel()
        if not line:
            code = self.process.wait()
            return Outcome("fault", f"crashed, code {code}" if in_time else f"not done after {TIMEOUT} s")
        how, message, facts, peak = json.loads(line)
        if peak > MEMORY:
            self.close()
            return Outcome("fault", f"took {peak / 1e9:.1f} GB")
        return Outcome(how, message, facts)

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
