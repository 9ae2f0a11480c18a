"""Adapt Whisper to clips with texts, and test it: `python -m mlx_whisper_lora.lora --train`."""

import argparse
from typing import NoReturn

from mlx_whisper_lora.cli.lora_options import PROGRAM, CommandOptions, build_parser
from mlx_whisper_lora.cli.options import from_args
from mlx_whisper_lora.cli.run import run_command
from mlx_whisper_lora.cli.training_command import method_settings, note_how_to_continue
from mlx_whisper_lora.cli.transcribe_options import TemperatureOptions, transcription_options
from mlx_whisper_lora.cli.watchers import watchers
from mlx_whisper_lora.data.augmentation.options import AugmentationOptions
from mlx_whisper_lora.data.sources.hf_options import HubDataOptions
from mlx_whisper_lora.data.sources.options import SourceOptions
from mlx_whisper_lora.training.callbacks import all_of
from mlx_whisper_lora.training.console import ConsoleCallback
from mlx_whisper_lora.training.options import TrainingOptions
from mlx_whisper_lora.training.run import Run
from mlx_whisper_lora.training.run_options import ADAPTER_FILE, RunOptions
from mlx_whisper_lora.training.trial_options import TrialOptions
from mlx_whisper_lora.whisper.option import OptionError
from mlx_whisper_lora.whisper.stopping import at_stop

__all__ = ["build_parser", "cli", "main"]


def main(args: argparse.Namespace) -> None:
    """Train and test as the command line asks."""
    command = from_args(CommandOptions, args)
    # The batch size of the command line is that of training. Clips need no batches of windows. An audio context is that
    # of the adapter in training; the base is measured in its own.
    others = {"batch_size": None} | ({"audio_context": None} if command.train else {})
    transcription = transcription_options(args, language=None, task="transcribe", **others)
    options = from_args(
        RunOptions,
        args,
        sources=from_args(SourceOptions, args),
        hub=from_args(HubDataOptions, args),
        transcription=transcription,
    )
    settings = method_settings(args, command.fine_tune_type, options.resume_adapter_file is not None)
    training = from_args(TrainingOptions, args)
    augmentation = from_args(AugmentationOptions, args)
    if augmentation.changes_clips and not command.train:
        raise OptionError("augmentation changes training clips: give `train`")

    trials = from_args(TrialOptions, args)
    if (trials.folds or trials.search) and not command.train:
        raise OptionError("`folds` and `search` are about training: give `train`")

    console = ConsoleCallback()
    kept = (
        command,
        options.sources,
        options.hub,
        augmentation,
        trials,
        transcription,
        from_args(TemperatureOptions, args),
    )
    files = watchers(PROGRAM, build_parser(), command.report_to, options, kept) if command.train else []
    callback = all_of([console, *files])
    run = Run(options, training, callback, trains=command.train, tests=command.test, augmentation=augmentation)
    if folder := augmentation.preview_augmentation:
        count = run.preview_augmentation(folder)
        print(f"Wrote {count} training clips before and after augmentation to {folder}")
        return
    if command.train:
        adapter_file, size = options.adapter_file or ADAPTER_FILE, run.world.size
        with at_stop(lambda error: note_how_to_continue(PROGRAM, error, adapter_file, size)):
            run.train(settings, trials)
    if command.test:
        result = run.test()
        if run.world.speaks:
            print(f"Test loss {result.loss:.3f}, {result.describe()} ({result.normalizer} normalizer)")


def cli() -> NoReturn:
    run_command(main, build_parser())


if __name__ == "__main__":
    cli()
