"""Transcribe audio files: `python -m mlx_whisper_lora.transcribe --audio x.wav`, and the same as a function."""

import argparse
import sys
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from mlx_whisper_lora.adapters.loading import ModelHolder, find_model, load_model
from mlx_whisper_lora.cli.options import from_args
from mlx_whisper_lora.cli.recordings import ModelFor, find_recordings, plan_jobs, transcribe_jobs
from mlx_whisper_lora.cli.routing import Router
from mlx_whisper_lora.cli.run import run_command
from mlx_whisper_lora.cli.transcribe_options import (
    CommandOptions,
    build_parser,
    note_old_flags,
    open_given_adapter,
    subtitle_layout,
)
from mlx_whisper_lora.cli.transcription import transcribe
from mlx_whisper_lora.whisper.assets import DEMO_AUDIO
from mlx_whisper_lora.whisper.checkpoints.hub import describe_model
from mlx_whisper_lora.whisper.decoding.decode import compute_dtype
from mlx_whisper_lora.whisper.terminal import say

__all__ = ["ModelHolder", "build_parser", "cli", "main", "transcribe"]


def main(args: argparse.Namespace) -> int:
    """Transcribe the recordings of a command line. Return 1 if one of them failed, else 0."""
    command = from_args(CommandOptions, args)
    adapter, options = open_given_adapter(command, args)
    config = adapter.config if adapter else None
    layout = subtitle_layout(args, options)
    given = find_recordings([*args.recordings, *args.audio])
    base = command.model or (config.base.name if config else None)
    jobs = plan_jobs(given or [str(DEMO_AUDIO)], command, filter(None, (command.adapter_file, base)))
    if command.skip_existing and all(job.is_done for job in jobs):
        say("All transcripts are there: nothing to do")
        return 0
    Path(command.output_dir).mkdir(parents=True, exist_ok=True)

    note_old_flags(command)
    model_for: ModelFor
    if command.route:
        model_for = Router(command, adapter, options)
    else:
        name, path = find_model(command.model, config, command.adapter_file, not given, command.model_dir)
        say(f"Loading model {describe_model(name, path)}")
        dtype, strength = compute_dtype(options.fp16), command.adapter_strength
        model = load_model(name, adapter_file=adapter, adapter_strength=strength, dtype=dtype, path=path)
        model_for = lambda recording: (model, options)  # noqa: E731 - the same for all
    if not given:
        say(f"Transcribing {DEMO_AUDIO} (bundled; --audio gives others)")
    return 1 if transcribe_jobs(model_for, jobs, command, layout) else 0


def cli() -> NoReturn:
    run_command(main, build_parser())


# Once this module is imported, `mlx_whisper_lora.transcribe` is the module. Calling it calls the function.
sys.modules[__name__].__class__ = type("_CallableModule", (ModuleType,), {"__call__": staticmethod(transcribe)})

if __name__ == "__main__":
    cli()
