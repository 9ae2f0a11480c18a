"""Write a model in another format, type or quantization, or an adapter: `python -m mlx_whisper_lora.convert`."""

import argparse
from typing import NoReturn

import mlx.core as mx

from mlx_whisper_lora.adapters.adapter_file import Adapter
from mlx_whisper_lora.adapters.card import publish
from mlx_whisper_lora.adapters.open import open_adapter
from mlx_whisper_lora.adapters.peft import write_peft
from mlx_whisper_lora.cli.export_options import (
    ConvertExportOptions,
    ConvertOptions,
    build_convert_parser,
    check_input,
)
from mlx_whisper_lora.cli.options import from_args
from mlx_whisper_lora.cli.run import run_command
from mlx_whisper_lora.whisper.checkpoints.hub import resolve_model
from mlx_whisper_lora.whisper.checkpoints.load import load_model
from mlx_whisper_lora.whisper.checkpoints.save import ExportOptions, check_model_folder, check_not_source, export_model
from mlx_whisper_lora.whisper.checkpoints.upload import check_upload
from mlx_whisper_lora.whisper.terminal import say

build_parser = build_convert_parser


def main(args: argparse.Namespace) -> None:
    """Convert the model or adapter of a command line."""
    check_input(args)
    command, options = from_args(ConvertOptions, args), from_args(ConvertExportOptions, args)
    if command.upload_repo:
        check_upload(command.upload_repo, command.save_path)
    if command.adapter_file:
        adapter = convert_adapter(command.adapter_file, command.save_path)
        if adapter.config.base.fingerprint:
            say("Note: PEFT has no place for language and audio context: the metadata keeps them for this library")
    else:
        convert(command.model, command.save_path, options)
    say(f"Converted {command.adapter_file or command.model}: {command.save_path}")
    if command.upload_repo:
        say(f"Uploaded to {publish(command.save_path, command.upload_repo, adapter.config, options.export)}")


def convert(path_or_hf_repo: str, save_path: str, options: ExportOptions) -> None:
    """Load a model, and write it in another form.

    Args:
        path_or_hf_repo: any name of a model that `load_model` knows.
        save_path: the folder to write.
        options: the form of the result.

    Raises:
        CheckpointError: the model cannot be loaded, or does not fit the form.
        ValueError: the result would replace its source.
        OSError: the folder cannot be written.
    """
    check_model_folder(save_path, options.export)
    path = resolve_model(path_or_hf_repo)
    check_not_source(save_path, path)
    export_model(load_model(path_or_hf_repo, getattr(mx, options.dtype), path), save_path, options)


def convert_adapter(adapter_file: str, save_path: str) -> Adapter:
    """Write an adapter as a folder of PEFT, and return it.

    Raises:
        AdapterError: the adapter cannot be read, or PEFT has no form for it.
        OSError: the folder cannot be written.
    """
    check_model_folder(save_path, "peft")
    adapter = open_adapter(adapter_file)
    write_peft(adapter, save_path)
    return adapter


def cli() -> NoReturn:
    run_command(main, build_parser())


if __name__ == "__main__":
    cli()
