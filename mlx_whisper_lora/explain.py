"""Explain what a prediction rests on: `python -m mlx_whisper_lora.explain --audio x.wav`."""

import argparse
from pathlib import Path
from typing import NoReturn

import mlx.core as mx

from mlx_whisper_lora.adapters.adapter_file import load_adapter
from mlx_whisper_lora.adapters.classify import LoadedClassifier
from mlx_whisper_lora.adapters.loading import find_model, load_model
from mlx_whisper_lora.adapters.open import open_adapter
from mlx_whisper_lora.cli.explain_options import ExplainOptions, build_explain_parser
from mlx_whisper_lora.cli.options import from_args
from mlx_whisper_lora.cli.run import run_command
from mlx_whisper_lora.cli.transcribe_options import CommandOptions, open_given_adapter
from mlx_whisper_lora.data.clip import Clip
from mlx_whisper_lora.explanation.classes import explain_classes
from mlx_whisper_lora.explanation.clip import read_clip
from mlx_whisper_lora.explanation.explain import explain
from mlx_whisper_lora.explanation.files import write_files
from mlx_whisper_lora.explanation.network.write import write_network
from mlx_whisper_lora.explanation.options import ExplanationOptions
from mlx_whisper_lora.explanation.pictures import check_matplotlib
from mlx_whisper_lora.explanation.summary import table_lines
from mlx_whisper_lora.whisper.assets import DEMO_AUDIO
from mlx_whisper_lora.whisper.audio.constants import CHUNK_LENGTH
from mlx_whisper_lora.whisper.audio.log_mel import clip_frames
from mlx_whisper_lora.whisper.checkpoints import load as checkpoints
from mlx_whisper_lora.whisper.checkpoints.hub import describe_model
from mlx_whisper_lora.whisper.destinations import check_folder
from mlx_whisper_lora.whisper.terminal import say

build_parser = build_explain_parser


def main(args: argparse.Namespace) -> None:
    """Explain the recording of a command line: print a table, and write the maps and a page."""
    command, given = from_args(CommandOptions, args), from_args(ExplainOptions, args)
    options = from_args(ExplanationOptions, args)
    check_folder(given.output_dir)
    if given.network:
        _draw(command, given)
        return
    check_matplotlib()
    adapter, transcription = open_given_adapter(command, args)
    name, path = find_model(
        command.model, adapter.config if adapter else None, command.adapter_file, bundled=given.audio is None
    )
    audio = given.audio or str(DEMO_AUDIO)
    clip = Clip(audio, "", start=options.clip_start)
    samples, is_cut = read_clip(audio, options.clip_start)
    if is_cut:
        say(f"{clip.name}: {CHUNK_LENGTH} s of it are explained; --clip-start gives others")
    say(f"Loading model {describe_model(name, path)}")
    if adapter and adapter.config.classifier:
        classifier = LoadedClassifier.load(checkpoints.load_model(name, mx.float32, path), adapter, name)
        kind = "Class"
        explanation = explain_classes(classifier, clip_frames(samples, classifier.model.dims.n_mels), options)
    else:
        strength = command.adapter_strength
        model = load_model(name, adapter_file=adapter, adapter_strength=strength, dtype=mx.float32, path=path)
        kind, language = "Transcript", transcription.language or model.default_language
        mel = clip_frames(samples, model.dims.n_mels)
        explanation = explain(model, mel, options, language, transcription.task)
    lines = [f"recording: {clip.name}", f"model: {name}", f"{kind.lower()}: {explanation.predicted}"]
    say(f"{kind}: {explanation.predicted}")
    for line in table_lines(explanation.maps):
        say(line)
    Path(given.output_dir).mkdir(parents=True, exist_ok=True)
    stem = Path(given.output_dir) / Path(audio).stem
    for written in write_files(stem, clip, samples, explanation, lines):
        say(f"Written: {written}")


def _draw(command: CommandOptions, given: ExplainOptions) -> None:
    """Draw the network of a model, with its adapter in it."""
    adapter = open_adapter(command.adapter_file) if command.adapter_file else None
    name, path = find_model(command.model, adapter.config if adapter else None, command.adapter_file)
    say(f"Loading model {describe_model(name, path)}")
    model = checkpoints.load_model(name, path=path)
    config = load_adapter(model, adapter, name) if adapter else None
    for written in write_network(model, name, given.output_dir, config):
        say(f"Written: {written}")


def cli() -> NoReturn:
    run_command(main, build_parser())


if __name__ == "__main__":
    cli()
