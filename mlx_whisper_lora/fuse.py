"""Merge an adapter into its base and save the result as a model folder."""

import argparse
from dataclasses import dataclass
from typing import NoReturn

import mlx.core as mx

from mlx_whisper_lora.adapters.adapter_file import read_adapter_config
from mlx_whisper_lora.adapters.loading import load_model
from mlx_whisper_lora.cli.options import add_options, from_args
from mlx_whisper_lora.cli.run import run_command
from mlx_whisper_lora.whisper.checkpoints.hub import MODEL_HELP
from mlx_whisper_lora.whisper.checkpoints.save import (
    DTYPE_HELP,
    DTYPES,
    ExportOptions,
    check_not_source,
    export_model,
)
from mlx_whisper_lora.whisper.option import documented, option

SAVE_PATH = "fused_model"
EXAMPLES = """\
examples:
  the base is the one that the adapter file names; the result goes to fused_model/
    python -m mlx_whisper_lora.fuse --adapter-file adapters.npz

  for transformers, faster-whisper and whisper.cpp, in half the space
    python -m mlx_whisper_lora.fuse --adapter-file adapters.npz --export hf --dtype float16

  the base is in a folder of one's own
    python -m mlx_whisper_lora.fuse --adapter-file adapters.npz --model models/whisper-small --save-path whisper-telugu

Afterwards: python -m mlx_whisper_lora.transcribe --model fused_model --audio x.wav
"""


@documented
@dataclass(frozen=True)
class FuseOptions(ExportOptions):
    """The form in which a fused model is written."""

    dtype: str = option(
        "float32",
        DTYPE_HELP,
        choices=DTYPES,
        shown_default="float32, because float16 can be too coarse for an adapter's share of a weight",
    )


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mlx_whisper_lora.fuse",
        description="Merge an adapter into its base model. The result is a model folder that needs no adapter file.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--adapter-file", default="adapters.npz", help="The adapter. Default: %(default)s.")
    parser.add_argument("--model", help=f"The base: {MODEL_HELP}. Default: the one that the adapter names.")
    parser.add_argument("--save-path", default=SAVE_PATH, help="Folder for the fused model. Default: %(default)s.")
    group = parser.add_argument_group("the model that is written")
    add_options(group, FuseOptions)
    parser.add_argument(
        "-q", dest="quantize", action="store_true", default=argparse.SUPPRESS, help="Short for --quantize."
    )
    return parser


def main(args: argparse.Namespace) -> None:
    fuse(args.adapter_file, args.save_path, args.model, from_args(FuseOptions, args))
    print(f"Fused {args.adapter_file} into its base: {args.save_path}")


def fuse(adapter_file: str, save_path: str, base_name: str | None = None, form: ExportOptions | None = None) -> None:
    """Write the model folder `save_path`, by default a plain one in float32, from a base (default: the adapter's own)
    and an adapter file.

    Raises CheckpointError, AdapterError, ValueError when the result would replace the base, or OSError when the folder
    cannot be written.
    """
    base_name = base_name or read_adapter_config(adapter_file).base.name
    check_not_source(save_path, base_name)
    export_model(load_model(base_name, adapter_file, mx.float32), save_path, form or FuseOptions())


def cli() -> NoReturn:
    run_command(main, build_parser())


if __name__ == "__main__":
    cli()
