"""Name the dialect or accent of clips, and train to do so: `python -m mlx_whisper_lora.classify --audio x.wav`."""

import argparse
from typing import NoReturn

from mlx_whisper_lora.adapters.classify import LoadedClassifier
from mlx_whisper_lora.adapters.loading import find_model
from mlx_whisper_lora.adapters.open import open_adapter
from mlx_whisper_lora.cli.classify_options import PROGRAM, ClassifyOptions, build_parser, check_tasks
from mlx_whisper_lora.cli.classify_results import classify_recordings, report_test
from mlx_whisper_lora.cli.options import from_args
from mlx_whisper_lora.cli.run import run_command
from mlx_whisper_lora.cli.training_command import method_settings, note_how_to_continue
from mlx_whisper_lora.cli.watchers import watchers
from mlx_whisper_lora.data.augmentation.options import AugmentationOptions
from mlx_whisper_lora.data.sources.hf_options import HubDataOptions
from mlx_whisper_lora.data.sources.options import LabelOptions
from mlx_whisper_lora.training.callbacks import all_of
from mlx_whisper_lora.training.class_options import ClassOptions, ClassTrainingOptions
from mlx_whisper_lora.training.class_run import ClassRun
from mlx_whisper_lora.training.console import ConsoleCallback
from mlx_whisper_lora.training.run_options import ADAPTER_FILE, RunOptions
from mlx_whisper_lora.whisper.checkpoints.hub import describe_model
from mlx_whisper_lora.whisper.checkpoints.load import load_model
from mlx_whisper_lora.whisper.destinations import check_file
from mlx_whisper_lora.whisper.stopping import at_stop
from mlx_whisper_lora.whisper.terminal import say

__all__ = ["build_parser", "cli", "main"]


def main(args: argparse.Namespace) -> int:
    """Train, test, or classify recordings, as the command line asks. Return 1 if a recording failed, else 0."""
    command = from_args(ClassifyOptions, args)
    check_tasks(command, args)
    for path in filter(None, (command.json, command.html)):
        check_file(path)
    sources, hub = from_args(LabelOptions, args), from_args(HubDataOptions, args)
    options = from_args(RunOptions, args, sources=sources, hub=hub)
    if args.audio:
        return _classify(args.audio, options, command.json)
    classes, training = from_args(ClassOptions, args), from_args(ClassTrainingOptions, args)
    augmentation = from_args(AugmentationOptions, args)
    settings = method_settings(args, command.fine_tune_type, options.resume_adapter_file is not None)
    kept = (command, classes, sources, hub, augmentation)
    files = watchers(PROGRAM, build_parser(), command.report_to, options, kept) if command.train else []
    callback = all_of([ConsoleCallback(), *files])
    run = ClassRun(options, classes, training, callback, command.train, command.test, augmentation)
    if command.train:
        adapter_file, size = options.adapter_file or ADAPTER_FILE, run.world.size
        with at_stop(lambda error: note_how_to_continue(PROGRAM, error, adapter_file, size)):
            run.train(settings)
    if command.test:
        result, majority = run.test()
        if run.world.speaks:
            report_test(result, majority, run.test_clips, command.json, command.html)
    return 0


def _classify(recordings: list[str], options: RunOptions, json_file: str | None) -> int:
    adapter_file = options.adapter_file or ADAPTER_FILE
    adapter = open_adapter(adapter_file)
    name, path = find_model(options.model, adapter.config, adapter_file)
    say(f"Loading model {describe_model(name, path)}")
    classifier = LoadedClassifier.load(load_model(name, path=path), adapter, name)
    return classify_recordings(classifier, recordings, json_file)


def cli() -> NoReturn:
    run_command(main, build_parser())


if __name__ == "__main__":
    cli()
