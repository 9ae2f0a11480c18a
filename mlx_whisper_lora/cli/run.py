"""Run a command: its exit code, and errors of the user as one line."""

import argparse
import os
import sys
import warnings
from collections.abc import Callable
from typing import NoReturn

from mlx_whisper_lora.data.clip import BadClipsError
from mlx_whisper_lora.whisper.errors import one_line
from mlx_whisper_lora.whisper.option import OptionError
from mlx_whisper_lora.whisper.terminal import terminal_text

USAGE = 2  # the exit code of argparse too
INTERRUPTED = 130  # the exit code that a shell reports for a program that Ctrl-C ended


def run_command(main: Callable[[argparse.Namespace], int | None], parser: argparse.ArgumentParser) -> NoReturn:
    """Parse the command line, call `main` and exit.

    Errors of the user print one line to standard error. The exit code is 2 for a command line that is wrong
    (OptionError), 1 for wrong input (ValueError, OSError, a loss that is not finite), and 130 after Ctrl-C. Any other
    exception is a bug and keeps its traceback.
    """
    args = parser.parse_args()
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _print_note  # type: ignore[assignment]
            code = main(args) or 0
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of our output, such as `head`, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except KeyboardInterrupt:
        print(f"\n{parser.prog}: interrupted", file=sys.stderr)
        code = INTERRUPTED
    except (ValueError, OSError, FloatingPointError) as error:
        print_error(parser.prog, error)
        code = USAGE if isinstance(error, OptionError) else 1
    sys.exit(code)


def _print_note(message: Warning | str, *place: object) -> None:
    print(f"Note: {terminal_text(OptionError(str(message)).with_flags())}", file=sys.stderr)


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
