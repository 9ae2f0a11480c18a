"""Merge several LoRA adapters of one base into one: `python -m mlx_whisper_lora.merge`."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from mlx_whisper_lora.adapters.adapter_file import Base, load_adapter, save_adapter
from mlx_whisper_lora.adapters.loading import find_model
from mlx_whisper_lora.adapters.merge import merge_adapters
from mlx_whisper_lora.adapters.open import open_adapter
from mlx_whisper_lora.cli.merge_options import MergeOptions, WeightedAdapter, build_merge_parser
from mlx_whisper_lora.cli.options import from_args
from mlx_whisper_lora.cli.run import run_command
from mlx_whisper_lora.whisper.checkpoints.load import load_model
from mlx_whisper_lora.whisper.destinations import check_file
from mlx_whisper_lora.whisper.terminal import say

build_parser = build_merge_parser


def main(args: argparse.Namespace) -> None:
    """Merge the adapters of a command line."""
    command = from_args(MergeOptions, args)
    rank = merge(command.adapters, command.save_path, command.model)
    say(f"Merged {len(command.adapters)} adapters into one of rank {rank}: {command.save_path}")


def merge(adapters: Sequence[WeightedAdapter], save_path: str, base: str | None = None) -> int:
    """Merge LoRA adapters of one base, and write the result as an adapter file.

    Returns:
        The rank of the result.

    Raises:
        CheckpointError, AdapterError: base or an adapter cannot be loaded, or the adapters do not belong together.
        ValueError: the result would replace one of the adapters.
        OSError: the file cannot be written.
    """
    check_file(save_path)
    opened = [open_adapter(each.name) for each in adapters]
    if any(Path(save_path).exists() and Path(save_path).samefile(each.path) for each in opened):
        raise ValueError(f"{save_path}: the result would replace an adapter that it is made from: give another file")
    merged = merge_adapters(opened, [each.weight for each in adapters], Path(save_path))
    name, path = find_model(base, merged.config, opened[0].path)
    model = load_model(name, path=path)
    config = replace(merged.config, base=Base.of(model, name))
    load_adapter(model, merged, name)
    save_adapter(save_path, model, config)
    return config.settings.rank


def cli() -> NoReturn:
    run_command(main, build_parser())


if __name__ == "__main__":
    cli()
