"""What a command line asks for to watch training with."""

from collections.abc import Iterable, Sequence
from typing import Any

from mlx_whisper_lora.cli.options import CommandParser
from mlx_whisper_lora.cli.saved_options import SavedOptions
from mlx_whisper_lora.training.callbacks import Callback
from mlx_whisper_lora.training.reporting.page import ReportPage
from mlx_whisper_lora.training.reporting.reporters import REPORTERS
from mlx_whisper_lora.training.run_options import ADAPTER_FILE, RunOptions


def watchers(
    program: str, parser: CommandParser, report_to: Iterable[str], run: RunOptions, others: Sequence[Any]
) -> list[Callback]:
    """Return the callbacks that write files about a run of training.

    Args:
        program: the module of the command.
        parser: its parser.
        report_to: names of REPORTERS.
        run: the base, the clips and the adapter.
        others: the other options of the command, a dataclass of each kind.
    """
    saved = SavedOptions(program, parser.declared(), run, *others)
    adapter_file = run.adapter_file or ADAPTER_FILE
    reporters = [REPORTERS[name](adapter_file) for name in dict.fromkeys(("jsonl", *report_to))]
    return [saved, *reporters, ReportPage(adapter_file)]
