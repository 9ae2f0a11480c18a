"""What all commands share: how they end, and the values that their options take."""

import argparse
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from mlx_whisper_lora.whisper.errors import one_line

INTERRUPTED = 130  # what a shell reports for a program that Control-C ended


def run_command(main: Callable[[argparse.Namespace], int | None], parser: argparse.ArgumentParser) -> NoReturn:
    """Parse the command line, call `main` and exit.

    What is wrong with the input (ValueError and its kin, OSError, a loss that is no number) ends in one line on
    standard error and exit code 1; Control-C in exit code 130. Anything else is our fault and shows its traceback.
    """
    args = parser.parse_args()
    try:
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
        code = 1
    sys.exit(code)


def print_error(prog: str, error: Exception) -> None:
    """The one line that tells a user what was wrong."""
    print(f"{prog}: error: {describe(error)}", file=sys.stderr)


def describe(error: Exception) -> str:
    """An error as one line: the file it is about first, if it is the operating system's."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return one_line(error)
