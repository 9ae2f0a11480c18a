"""The form in which `convert` and `fuse` write a model: layout, type and quantisation."""

import argparse
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import mlx.core as mx

from mlx_whisper_lora.whisper.checkpoints.hf_export import save_hf_model
from mlx_whisper_lora.whisper.checkpoints.hub import resolve_model
from mlx_whisper_lora.whisper.checkpoints.save import save_model
from mlx_whisper_lora.whisper.model.quantization import GROUP_SIZES, Quantization, dequantize, quantize
from mlx_whisper_lora.whisper.model.whisper import Whisper

DTYPES = ("float16", "bfloat16", "float32")
LAYOUTS = ("mlx", "hf")


@dataclass(frozen=True)
class ExportOptions:
    """layout: "mlx", mlx-community's, or "hf", transformers'; quantization: None for plain weights. ValueError for
    quantised weights in transformers' layout, which has none of MLX's kind."""

    dtype: mx.Dtype
    quantization: Quantization | None = None
    layout: str = "mlx"

    def __post_init__(self):
        if self.layout == "hf" and self.quantization:
            raise ValueError(
                "transformers does not read MLX's quantised weights: give --export hf or --quantize, not both"
            )


def add_output_options(parser: argparse.ArgumentParser, default_dtype: str, why: str) -> None:
    group = parser.add_argument_group("what is written")
    group.add_argument(
        "--dtype",
        choices=DTYPES,
        default=default_dtype,
        help="Type of the weights; of a quantised model, of what is not quantised. mlx-whisper asks for its option "
        f"--fp16 False where this is not float16. Default: %(default)s, {why}.",
    )
    group.add_argument("-q", "--quantize", action="store_true",
                       help="Quantise linear layers and token embedding. Without it the result is a plain model, "
                            "even if the source is quantised.")  # fmt: skip
    group.add_argument(
        "--q-bits",
        type=int,
        choices=(4, 8),
        default=Quantization.bits,
        help="Bits of a quantised weight. Default: %(default)s.",
    )
    group.add_argument(
        "--q-group-size",
        type=int,
        choices=GROUP_SIZES,
        default=Quantization.group_size,
        help="Neighbouring weights that share a scale. Default: %(default)s.",
    )
    group.add_argument("--export", choices=LAYOUTS, default="mlx",
                       help="mlx: config.json and weights.safetensors, as mlx-whisper reads them too; hf: a folder for "
                            "transformers and for the converters of CTranslate2 (faster-whisper) and whisper.cpp. "
                            "Default: %(default)s.")  # fmt: skip


def output_form(args: argparse.Namespace) -> ExportOptions:
    """The form that the command line asks for. Raises ValueError for options that exclude each other."""
    quantization = Quantization(args.q_group_size, args.q_bits) if args.quantize else None
    return ExportOptions(getattr(mx, args.dtype), quantization, args.export)


def write_model(model: Whisper, folder: str | PathLike, form: ExportOptions) -> None:
    """Bring `model` into a form, in place, and write it. Raises CheckpointError where the form does not fit it, or
    OSError when the folder cannot be written."""
    dequantize(model)
    model.set_dtype(form.dtype)
    if form.quantization:
        quantize(model, form.quantization)
    if form.layout == "hf":
        save_hf_model(model, folder)
    else:
        save_model(model, folder)


def check_not_source(folder: str | PathLike, path_or_hf_repo: str) -> None:
    """Raise ValueError when a model would be written over the one that it is made from."""
    if Path(folder).resolve() == resolve_model(path_or_hf_repo).resolve():
        raise ValueError(f"{folder} is the model itself that this starts from: give another folder")
