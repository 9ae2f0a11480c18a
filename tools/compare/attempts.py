"""Ways to try an option, and checks of its effect.

A check looks at a run and returns the fault that it finds, or an empty text. An attempt tries a row of the table with a
tool and returns the cell.
"""

import contextlib
import os
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tools.compare.peers import COMMON, MLX, RECORDING, Failed, NotAccepted, Run, Tool

YES, NO = "yes", "no"
NO_EFFECT = "no effect"

Check = Callable[[Run], str]
Attempt = Callable[[Tool], str]


# Checks.


def written(run: Run) -> str:
    """Check nothing more than that a transcript is written."""
    return ""


def effect(seen: Callable[[Run], bool], otherwise: str = NO_EFFECT) -> Check:
    return lambda run: "" if seen(run) else otherwise


def decoded_with(**options) -> Check:
    """Check that some window was decoded with these options."""
    return effect(lambda run: any({**decoded, **options} == decoded for decoded in run.decoded))


def prompted(window: int) -> Check:
    """Check that a window was decoded with a prompt."""
    return effect(lambda run: bool(run.decoded[window]["prompt"]))


def in_clips(run: Run) -> str:
    """Check that windows start within 0 to 0.5 s or 1.5 to 2 s."""
    starts = [segment["seek"] for segment in run.segments]
    good = starts and all(start < 50 or start >= 150 for start in starts)
    return "" if good else "also between the clips"


def timed_words(run: Run) -> str:
    words = [word for segment in run.segments for word in segment["words"]]
    return "" if words and all(word["start"] <= word["end"] for word in words) else NO_EFFECT


# Attempts.


def option(arguments: str, check: Check = written, **python) -> Attempt:
    """Try the command with `arguments`; if that fails the check and `python` is given, try the function with that."""

    def attempt(tool: Tool) -> str:
        try:
            wrong = check(tool.command(arguments))
        except NotAccepted:
            wrong = NO
        if not wrong or not python:
            return wrong or YES
        try:
            return function(check, **python)(tool)
        except NotAccepted:
            return wrong
        except Failed as error:
            return f"{wrong} (`{error}` from Python)"

    return attempt


def function(check: Check = written, **python) -> Attempt:
    return lambda tool: check(tool.call(**python)) or "from Python"


def patience(tool: Tool) -> str:
    beams = "" if tool.name == MLX else "--beam-size 2"
    return option(f"{beams} --patience 2", decoded_with(patience=2.0))(tool)


def log_probabilities(tool: Tool, options: str) -> list[float]:
    """Return the log-probabilities of a transcript's segments, which differ between any two computations."""
    return [segment["avg_logprob"] for segment in tool.command(options).segments]


def half_precision(tool: Tool) -> str:
    half, full = log_probabilities(tool, "--fp16 True"), log_probabilities(tool, "--fp16 False")
    return YES if half != full else "float32 only, on a CPU"


def adapter(tool: Tool) -> str:
    adapted = log_probabilities(tool, f"--adapter-file {tool.files / 'adapter.npz'}")
    return YES if adapted != log_probabilities(tool, "") else NO_EFFECT


def standard_input(tool: Tool) -> str:
    kept = os.dup(0)
    try:
        with (tool.files / "recordings" / RECORDING).open("rb") as file:
            os.dup2(file.fileno(), 0)
            (stem,) = tool.command(audio=("-",)).stems
    finally:
        os.dup2(kept, 0)
    return f"{YES}, as {stem}.txt"


def several(*audio: str, expected: set[str], otherwise: str) -> Attempt:
    """Try several recordings at once; `expected` are the names of the transcripts."""

    def attempt(tool: Tool) -> str:
        try:
            return YES if tool.command(audio=audio).stems == expected else otherwise
        except Failed:
            return NO

    return attempt


def bad_recording(tool: Tool) -> str:
    folder = tool.enter_folder()
    code, _ = tool.run(["noise.txt", RECORDING, "--model", tool.model, *COMMON])
    others = "done" if list(folder.glob("*.json")) else "left"
    return f"the others are {others}, exit code {code}"


def reads(model: str) -> Attempt:
    """Try to load a model; {} stands for the folder of files."""

    def attempt(tool: Tool) -> str:
        try:
            return tool.command(model=model.format(tool.files)) and YES
        except Failed:
            return tool.command("--fp16 False", model=model.format(tool.files)) and "with `--fp16 False`"

    return attempt


def malicious(tool: Tool) -> str:
    marker = tool.files / "marker"
    marker.unlink(missing_ok=True)
    try:
        tool.command(model=str(tool.files / "demo.pt"))
    except Failed:
        return "reads no .pt"
    with contextlib.suppress(Failed):
        tool.command(model=str(tool.files / "malicious.pt"))
    return "runs the program" if marker.exists() else "refused"


def decodes(*suffixes: str, ffmpeg: bool = True) -> Attempt:
    """Try a recording in each of these formats, with or without ffmpeg on the PATH."""

    def attempt(tool: Tool) -> str:
        failed = []
        path = os.environ["PATH"]
        for suffix in suffixes:
            os.environ["PATH"] = path if ffmpeg else "/nowhere"
            try:
                tool.command(audio=(f"talk.{suffix}",))
            except (NotAccepted, Failed):
                failed.append(suffix)
            finally:
                os.environ["PATH"] = path
        return YES if not failed else NO if len(failed) == len(suffixes) else f"not {', '.join(failed)}"

    return attempt


def takes(make: Callable[[Tool, Path], object]) -> Attempt:
    """Try the function with the object that `make` makes of a path; its transcript must be that of the file."""

    def attempt(tool: Tool) -> str:
        inputs = (RECORDING, make(tool, tool.files / "recordings" / RECORDING))
        texts = [tool.call(audio).segments for audio in inputs]
        return YES if texts[0] == texts[1] else "another transcript"

    return attempt


def samples(path: Path) -> np.ndarray:
    """Return the samples of a 16-bit WAV file."""
    with wave.open(str(path)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / 32768


def cell(tool: Tool, attempt: Attempt, name_errors: bool) -> str:
    """Return a cell of the table; `name_errors`: distinguish options that fail from those that do not exist."""
    try:
        return attempt(tool)
    except NotAccepted:
        return NO
    except Failed as error:
        return f"fails: `{error}`" if name_errors else NO
