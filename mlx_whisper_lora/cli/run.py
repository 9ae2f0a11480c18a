"""Run a command: its exit code, and errors of the user as one line."""

import argparse
import contextlib
import functools
import io
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from mlx_whisper_lora.data.clip import BadClipsError
from mlx_whisper_lora.whisper.errors import one_line
from mlx_whisper_lora.whisper.option import OptionError
from mlx_whisper_lora.whisper.stopping import at_stop, exit_code_of, ignore_signals, stop_on_signals
from mlx_whisper_lora.whisper.terminal import terminal_text

USAGE = 2  # the exit code of argparse too
USER_ERRORS = (ValueError, OSError, FloatingPointError)


def run_command(main: Callable[[argparse.Namespace], int | None], parser: argparse.ArgumentParser) -> NoReturn:
    """Parse the command line, call `main` and exit.

    Errors of the user print one line to standard error, and then the notes of the error. The exit code is 2 for a
    command line that is wrong (OptionError), 1 for wrong input (ValueError, OSError, a loss that is not finite) and if
    the reader of the output has gone, 130 after Control-C, 143 after SIGTERM, and 129 after SIGHUP. Any other exception
    is a bug and keeps its traceback.
    """
    args = parser.parse_args()
    _prepare_output()
    stop_on_signals()
    try:
        with at_stop(functools.partial(_report, parser.prog)), warnings.catch_warnings():
            warnings.showwarning = _print_note  # type: ignore[assignment]
            code = main(args) or 0
            sys.stdout.flush()
            ignore_signals()  # the work is done
    except (KeyboardInterrupt, *USER_ERRORS) as error:
        ignore_signals()
        code = USAGE if isinstance(error, OptionError) else exit_code_of(error)
    _drop_unwritable_output()
    sys.exit(code)


def _print_note(message: Warning | str, *place: object) -> None:
    print(f"Note: {terminal_text(OptionError(str(message)).with_flags())}", file=sys.stderr)


def _prepare_output() -> None:
    """Show each line at once, also in a pipe or a file. Make up for output streams that were closed."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 (open until the end)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)


def _drop_unwritable_output() -> None:
    """Send output that cannot be written to nowhere, so that Python does not fail at it when it exits."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _report(prog: str, error: BaseException) -> None:
    """Print the line that says why a command ended, and the notes of the error."""
    if not isinstance(error, (KeyboardInterrupt, *USER_ERRORS)):
        return  # Python prints the traceback
    with contextlib.suppress(OSError):  # nobody may be left to read it
        if isinstance(error, KeyboardInterrupt):
            by = "" if str(error) in ("", "SIGINT") else f" by {error}"
            print(f"\n{prog}: interrupted{by}", file=sys.stderr)
        elif not isinstance(error, BrokenPipeError):
            print_error(prog, error)
        for note in getattr(error, "__notes__", ()):
            print(terminal_text(note), file=sys.stderr)


def print_error(prog: str, error: Exception) -> None:
    """Print the line that says to a user what was wrong. Several bad clips get a line each."""
    lines = str(error).splitlines() if isinstance(error, BadClipsError) else [describe(error)]
    print(f"{prog}: error: " + "\n".join(map(terminal_text, lines)), file=sys.stderr)


def describe(error: Exception) -> str:
    """Return an error as one line. An error of the operating system begins with the file that it is about."""
    if isinstance(error, OptionError):
        return error.with_flags()
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return one_line(error)
