"""Merge an adapter into its base, and save the result as a model folder: `python -m mlx_whisper_lora.fuse`."""

import argparse
from typing import NoReturn

import mlx.core as mx

from mlx_whisper_lora.adapters.card import publish
from mlx_whisper_lora.adapters.classifier import check_transcribes
from mlx_whisper_lora.adapters.errors import AdapterError
from mlx_whisper_lora.adapters.loading import find_model
from mlx_whisper_lora.adapters.methods import METHODS
from mlx_whisper_lora.adapters.open import open_adapter, open_adapter_config
from mlx_whisper_lora.adapters.strength import load_fused
from mlx_whisper_lora.cli.export_options import FusedExportOptions, FuseOptions, build_fuse_parser
from mlx_whisper_lora.cli.options import from_args
from mlx_whisper_lora.cli.run import run_command
from mlx_whisper_lora.whisper.checkpoints.load import load_model
from mlx_whisper_lora.whisper.checkpoints.save import ExportOptions, check_model_folder, check_not_source, export_model
from mlx_whisper_lora.whisper.checkpoints.upload import check_upload
from mlx_whisper_lora.whisper.model.quantization import Quantization, quantization_of
from mlx_whisper_lora.whisper.terminal import say

build_parser = build_fuse_parser


def main(args: argparse.Namespace) -> None:
    """Fuse the adapter of a command line."""
    command = from_args(FuseOptions, args)
    options = from_args(FusedExportOptions, args)
    if command.upload_repo:
        check_upload(command.upload_repo, command.save_path)
    quantization = fuse(command.adapter_file, command.save_path, command.model, options, command.adapter_strength)
    say(f"Fused {command.adapter_file} into its base: {command.save_path}")
    if quantization and not options.quantize:
        say(
            f"Note: the base is quantized in {quantization.bits} bits, and the fused model is not; --quantize would "
            "round what the adapter changed"
        )
    if command.upload_repo:
        config = open_adapter_config(command.adapter_file)
        say(f"Uploaded to {publish(command.save_path, command.upload_repo, config, options.export)}")


def fuse(
    adapter_file: str,
    save_path: str,
    base: str | None = None,
    options: ExportOptions | None = None,
    strength: float = 1.0,
) -> Quantization | None:
    """Merge an adapter into its base, and write the result (by default a plain model in float32).

    `strength` is the share of its change of the base, as for `load_fused`.

    Returns:
        The way that the base is quantized. None if it is not.

    Raises:
        CheckpointError, AdapterError: base or adapter cannot be loaded, or the adapter cannot be merged.
        ValueError: the result would replace the base.
        OSError: the folder cannot be written.
    """
    options = options or FusedExportOptions()
    check_model_folder(save_path, options.export)
    adapter = open_adapter(adapter_file)
    check_transcribes(adapter_file, adapter.config.classifier)
    base, path = find_model(base, adapter.config, adapter_file)
    check_not_source(save_path, path)
    model = load_model(base, mx.float32, path)
    quantization = quantization_of(model)
    if left := load_fused(model, adapter, base, strength):
        method = adapter.config.method
        raise AdapterError(
            f"{adapter_file}: {method} cannot be merged into {left[0]}, because {METHODS[method].unfused}; use "
            "transcribe --adapter-file"
        )
    export_model(model, save_path, options)
    return quantization


def cli() -> NoReturn:
    run_command(main, build_parser())


if __name__ == "__main__":
    cli()
