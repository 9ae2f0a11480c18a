"""Make short recordings fast: `python -m mlx_whisper_lora.short_context --audio "recordings/*.wav"`."""

import argparse
from typing import NoReturn

from mlx_whisper_lora.adapters.loading import find_model
from mlx_whisper_lora.adapters.lora import LoRAConfig
from mlx_whisper_lora.cli.options import from_args
from mlx_whisper_lora.cli.recordings import find_recordings
from mlx_whisper_lora.cli.run import run_command
from mlx_whisper_lora.cli.short_context_options import CommandOptions, build_parser
from mlx_whisper_lora.training.callbacks import ConsoleCallback
from mlx_whisper_lora.training.options import TrainingOptions
from mlx_whisper_lora.training.short_context import teach_short_context
from mlx_whisper_lora.whisper.checkpoints.hub import describe_model
from mlx_whisper_lora.whisper.checkpoints.load import load_model

__all__ = ["build_parser", "cli", "main"]


def main(args: argparse.Namespace) -> None:
    """Train the adapter that the command line asks for."""
    command = from_args(CommandOptions, args)
    settings = from_args(LoRAConfig, args, prefix="lora_", decoder_layers=0)
    training = from_args(TrainingOptions, args)
    recordings = find_recordings(args.audio)
    name, path = find_model(command.model, None, None, bundled=False)
    console = ConsoleCallback()
    console.load(describe_model(name, path))
    teach_short_context(
        load_model(name, path=path),
        name,
        recordings,
        command.adapter_file,
        settings,
        training,
        console,
        lambda iteration, share: console.print_line(
            f"Iter {iteration}: the features differ from those in 30 s by {100 * share:.1f} %"
        ),
    )
    console.print_line(f"Saved adapter to {command.adapter_file}")


def cli() -> NoReturn:
    run_command(main, build_parser())


if __name__ == "__main__":
    cli()
