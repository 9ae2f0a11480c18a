"""Transcribe in the browser: `python -m mlx_whisper_lora.studio --adapter-file adapters.npz`."""

import argparse
from dataclasses import replace
from typing import NoReturn

from mlx_whisper_lora.adapters.classifier import check_transcribes
from mlx_whisper_lora.adapters.loading import find_model, load_model
from mlx_whisper_lora.cli.options import from_args
from mlx_whisper_lora.cli.run import run_command
from mlx_whisper_lora.cli.studio_options import StudioOptions, build_studio_parser
from mlx_whisper_lora.cli.transcribe_options import CommandOptions, open_given_adapter
from mlx_whisper_lora.studio_page.models import StudioModels
from mlx_whisper_lora.studio_page.server import check_gradio, listen, serve
from mlx_whisper_lora.studio_page.transcribing import Transcriber
from mlx_whisper_lora.whisper.decoding.decode import compute_dtype

build_parser = build_studio_parser


def main(args: argparse.Namespace) -> None:
    """Serve the page of a command line until a signal stops it."""
    command, page = from_args(CommandOptions, args), from_args(StudioOptions, args)
    check_gradio()
    adapter, options = open_given_adapter(command, args)
    check_transcribes(command.adapter_file, adapter.config.classifier if adapter else None)
    with listen(page.host, page.port) as listener:
        name, path = find_model(command.model, adapter.config if adapter else None, command.adapter_file)
        base = load_model(name, dtype=compute_dtype(options.fp16), path=path)
        options = replace(options, language=options.language or base.default_language)
        models = StudioModels(name, base, adapter, command.adapter_strength)
        title = f"Model {name}" + (f", adapter {command.adapter_file}" if adapter else "")
        serve(Transcriber(models, options), title, listener)


def cli() -> NoReturn:
    run_command(main, build_parser())


if __name__ == "__main__":
    cli()
