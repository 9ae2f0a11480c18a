"""What the command lines of training have in common: `lora` and `classify`."""

import argparse
import shlex
import shutil
import sys
from dataclasses import dataclass, fields
from typing import Any

from mlx_whisper_lora.adapters.methods import DEFAULT_METHOD, METHODS
from mlx_whisper_lora.cli.options import add_options, from_args
from mlx_whisper_lora.training.reporting.reporters import REPORTERS
from mlx_whisper_lora.training.run_options import ADAPTER_FILE, options_file
from mlx_whisper_lora.training.run_state import state_file
from mlx_whisper_lora.training.trials import trials_folder
from mlx_whisper_lora.whisper.option import OptionError, check_ranges, documented, option


@documented
@dataclass(frozen=True)
class TrainingCommand:
    """The tasks of a command that trains and tests, which a command has options of its own beside."""

    train: bool = option(False, "Train an adapter and save it.")
    test: bool = option(False, "Print loss, WER and CER on the test clips, as `transcribe` transcribes them.")
    fine_tune_type: str | None = option(
        None,
        f"Method of training. {'; '.join(f'{name}: {method.about}' for name, method in METHODS.items())}.",
        choices=tuple(METHODS),
        shown_default=f"{DEFAULT_METHOD}, or that of the adapter to resume from",
    )
    report_to: tuple[str, ...] = option(
        ("jsonl",),
        f"Where the numbers of training go, separated by commas: {', '.join(REPORTERS)}. jsonl, a file beside the "
        "adapter such as adapters_metrics.jsonl, is always written. The others require the extras of their names.",
        metavar="NAMES",
    )

    def __post_init__(self):
        check_ranges(self)
        if self.fine_tune_type and not self.train:
            raise OptionError("`fine_tune_type` requires `train`; a test takes that of its adapter")
        for name in self.report_to:
            if name not in REPORTERS:
                raise OptionError(f"`report_to` takes {', '.join(REPORTERS)}, got {name!r}")
        if self.report_to != ("jsonl",) and not self.train:
            raise OptionError("`report_to` is about training: give `train`")


def add_method_options(parser: argparse.ArgumentParser) -> None:
    """Add the flags of each method in a group. They begin with its prefix: --lora-rank."""
    for prefix, names in _names_by_prefix().items():
        group = parser.add_argument_group(f"settings of --fine-tune-type {' and '.join(names)}")
        add_options(group, METHODS[names[0]].Config, prefix=prefix)


def options_of_resumed_run(args: argparse.Namespace) -> str | None:
    """Return the file with the options of the run that --resume goes on with, if that is given."""
    return str(options_file(getattr(args, "adapter_file", ADAPTER_FILE))) if getattr(args, "resume", False) else None


def _names_by_prefix() -> dict[str, list[str]]:
    """Return the methods that have flags, by what these begin with."""
    names: dict[str, list[str]] = {}
    for name, method in METHODS.items():
        if method.prefix:
            names.setdefault(method.prefix, []).append(name)
    return names


def method_settings(args: argparse.Namespace, method: str | None, resumes: bool) -> Any:
    """Build the settings of a method from the command line.

    Args:
        args: the parsed command line.
        method: the name of the method, if one is given.
        resumes: whether training starts from an adapter.

    Returns:
        The configuration of the method. None if it is that of the adapter to resume from.

    Raises:
        OptionError: a value is out of range, or a flag of another method is given.
    """
    if method is None and resumes:
        return None
    name = method or DEFAULT_METHOD
    own = METHODS[name].prefix
    for prefix, names in _names_by_prefix().items():
        for each in fields(METHODS[names[0]].Config):
            if prefix != own and hasattr(args, prefix + each.name):
                raise OptionError(
                    f"`{prefix}{each.name}` is an option of `fine_tune_type` {' and '.join(names)}, not of {name}: "
                    "remove it, or choose another type"
                )
    return from_args(METHODS[name].Config, args, prefix=own)


def note_how_to_continue(program: str, error: BaseException, adapter_file: str, n_processes: int) -> None:
    """Add the command that goes on to the notes of an error that cut training short.

    Args:
        program: the module of the command.
        error: the error.
        adapter_file: the file for the adapter of the run. Without a state, or trials, beside it, there is nothing to go
            on from.
        n_processes: how many processes trained together.
    """
    begun = state_file(adapter_file).exists() or trials_folder(adapter_file).exists()
    if begun and not isinstance(error, FloatingPointError):
        where = f" in each of {n_processes} processes" if n_processes > 1 else ""
        error.__notes__ = [f"To continue{where}:", continuing_command(program, adapter_file)]  # type: ignore[attr-defined]


def continuing_command(program: str, adapter_file: str) -> str:
    """Return the command line that goes on with a run, quoted for a shell."""
    python = "python" if shutil.which("python") == sys.executable else sys.executable
    where = [] if adapter_file == ADAPTER_FILE else ["--adapter-file", adapter_file]
    return shlex.join([python, "-m", program, "--resume", *where])
