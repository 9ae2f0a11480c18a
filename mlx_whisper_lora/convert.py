"""Write a Whisper model in another format, type or quantisation."""

import argparse
from typing import NoReturn

import mlx.core as mx

from mlx_whisper_lora.cli.options import add_options, from_args
from mlx_whisper_lora.cli.run import run_command
from mlx_whisper_lora.whisper.checkpoints.hub import DEMO, MODEL_HELP
from mlx_whisper_lora.whisper.checkpoints.load import load_model
from mlx_whisper_lora.whisper.checkpoints.save import ExportOptions, check_not_source, export_model

SAVE_PATH = "converted_model"
DESCRIPTION = """\
Write a Whisper model in another format, type or quantisation. Folders of MLX, plain or quantised, folders of
transformers and OpenAI's .pt files are read; folders of MLX and of transformers are written.
"""
EXAMPLES = """\
examples:
  the bundled demo model as a folder of transformers
    python -m mlx_whisper_lora.convert --export hf

  an OpenAI checkpoint for MLX
    python -m mlx_whisper_lora.convert --model small.pt --save-path whisper-small

  a Hugging Face model in 4 bits
    python -m mlx_whisper_lora.convert --model openai/whisper-large-v3 --quantize --save-path large-v3-4bit

Afterwards: python -m mlx_whisper_lora.transcribe --model converted_model --audio x.wav
"""


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mlx_whisper_lora.convert",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--model",
        default=DEMO,
        help=f"What to convert: {MODEL_HELP}. Default: %(default)s, the bundled model.",
    )
    parser.add_argument("--save-path", default=SAVE_PATH, help="Folder for the result. Default: %(default)s.")
    group = parser.add_argument_group("the model that is written")
    add_options(group, ExportOptions)
    parser.add_argument(
        "-q", dest="quantize", action="store_true", default=argparse.SUPPRESS, help="Short for --quantize."
    )
    return parser


def main(args: argparse.Namespace) -> None:
    convert(args.model, args.save_path, from_args(ExportOptions, args))
    print(f"Converted {args.model}: {args.save_path}")


def convert(path_or_hf_repo: str, save_path: str, form: ExportOptions) -> None:
    """Write a model, given by any name that `load_model` knows, as the folder `save_path`.

    Raises CheckpointError, ValueError when the result would replace its source, or OSError when the folder cannot be
    written.
    """
    check_not_source(save_path, path_or_hf_repo)
    export_model(load_model(path_or_hf_repo, getattr(mx, form.dtype)), save_path, form)


def cli() -> NoReturn:
    run_command(main, build_parser())


if __name__ == "__main__":
    cli()
