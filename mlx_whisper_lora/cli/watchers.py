"""What a command line asks for to watch training with."""

import argparse

from mlx_whisper_lora.cli.lora_options import CommandOptions, build_parser
from mlx_whisper_lora.cli.options import from_args
from mlx_whisper_lora.cli.saved_options import SavedOptions
from mlx_whisper_lora.cli.transcribe_options import TemperatureOptions
from mlx_whisper_lora.data.augmentation.options import AugmentationOptions
from mlx_whisper_lora.training.callbacks import Callback
from mlx_whisper_lora.training.reporting.page import ReportPage
from mlx_whisper_lora.training.reporting.reporters import REPORTERS
from mlx_whisper_lora.training.run_options import ADAPTER_FILE, RunOptions
from mlx_whisper_lora.training.trial_options import TrialOptions


def watchers(
    args: argparse.Namespace, command: CommandOptions, options: RunOptions, augmentation: AugmentationOptions
) -> list[Callback]:
    """Return the callbacks that write files about a run of training.

    Args:
        args: the parsed command line.
        command, options, augmentation: what was read of it.
    """
    decoding = (options.transcription, from_args(TemperatureOptions, args))
    trials = from_args(TrialOptions, args)
    others = (command, options.sources, options.hub, augmentation, trials, *decoding)
    saved = SavedOptions(build_parser().declared(), options, *others)
    adapter_file = options.adapter_file or ADAPTER_FILE
    reporters = [REPORTERS[name](adapter_file) for name in dict.fromkeys(("jsonl", *command.report_to))]
    return [saved, *reporters, ReportPage(adapter_file)]
