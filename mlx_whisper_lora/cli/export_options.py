"""The command lines of `convert` and `fuse`."""

import argparse
from dataclasses import dataclass

from mlx_whisper_lora.adapters.open import ADAPTER_HELP
from mlx_whisper_lora.adapters.strength import MOST_STRENGTH, STRENGTH_HELP
from mlx_whisper_lora.cli.options import CommandParser, add_options
from mlx_whisper_lora.whisper.checkpoints.hub import DEMO, MODEL_HELP
from mlx_whisper_lora.whisper.checkpoints.save import DTYPE_HELP, DTYPES, LAYOUT_HELP, LAYOUTS, ExportOptions
from mlx_whisper_lora.whisper.option import OptionError, check_ranges, documented, option

_PEFT = "peft"
UPLOAD_HELP = (
    "to this Hugging Face repository too, with a card. A repository that does not exist is created, as a public one."
)

CONVERT_DESCRIPTION = """\
Write a Whisper model in another format, type or quantization. It reads folders of MLX, plain or quantized, folders of
transformers or CTranslate2, PyTorch's files and whisper.cpp's .bin files; it writes models for MLX, transformers,
faster-whisper and whisper.cpp. Or write an adapter as a folder of PEFT.
"""
CONVERT_EXAMPLES = """\
examples:
  the bundled demo model as a folder of transformers
    python -m mlx_whisper_lora.convert --export hf

  an OpenAI checkpoint for MLX
    python -m mlx_whisper_lora.convert --model small.pt --save-path whisper-small

  a Hugging Face model in 4 bits
    python -m mlx_whisper_lora.convert --model openai/whisper-large-v3 --quantize --save-path large-v3-4bit

  a model for faster-whisper in int8
    python -m mlx_whisper_lora.convert --model small.pt --export ct2 --quantize --q-bits 8 --save-path small-int8

  an adapter for transformers with PEFT, and the same on the Hugging Face Hub, after `hf auth login`
    python -m mlx_whisper_lora.convert --adapter-file adapters.npz --export peft --save-path te-lora
    python -m mlx_whisper_lora.convert --adapter-file adapters.npz --export peft --save-path te-lora --upload-repo me/te

Afterwards: python -m mlx_whisper_lora.transcribe --model converted_model --audio x.wav
"""
FUSE_DESCRIPTION = "Merge an adapter into its base model. The result is a model folder that needs no adapter file."
FUSE_EXAMPLES = """\
examples:
  the adapter file names its base; the result goes to fused_model/
    python -m mlx_whisper_lora.fuse --adapter-file adapters.npz

  for faster-whisper, and for whisper.cpp and the apps built on it
    python -m mlx_whisper_lora.fuse --adapter-file adapters.npz --export ct2 --save-path whisper-telugu-ct2
    python -m mlx_whisper_lora.fuse --adapter-file adapters.npz --export ggml --dtype float16

  to the Hugging Face Hub, with a card, after `hf auth login`
    python -m mlx_whisper_lora.fuse --adapter-file adapters.npz --save-path whisper-te --upload-repo me/whisper-te

  the base is in a folder of your own
    python -m mlx_whisper_lora.fuse --adapter-file adapters.npz --model models/whisper-small --save-path whisper-telugu

Afterwards: python -m mlx_whisper_lora.transcribe --model fused_model --audio x.wav
"""


@documented
@dataclass(frozen=True)
class ConvertOptions:
    """The model or adapter to convert, and the folder for the result."""

    model: str = option(DEMO, f"The model to convert: {MODEL_HELP}.", shown_default=f"{DEMO}, the bundled model")
    adapter_file: str | None = option(
        None,
        f"An adapter to convert in place of a model, with --export {_PEFT}: {ADAPTER_HELP}.",
        metavar="ADAPTER",
        shown_default="a model is converted",
    )
    save_path: str = option("converted_model", "Folder for the result.", metavar="FOLDER")
    upload_repo: str | None = option(
        None, f"Upload the adapter {UPLOAD_HELP}", metavar="OWNER/NAME", shown_default="no"
    )


@documented
@dataclass(frozen=True)
class ConvertExportOptions(ExportOptions):
    """The form in which a model or an adapter is written."""

    export: str = option(
        "mlx",
        f"{LAYOUT_HELP} {_PEFT}: an adapter, as a folder for PEFT, in float32.",
        choices=(*LAYOUTS, _PEFT),
    )


def check_input(args: argparse.Namespace) -> None:
    """Check that a command line of `convert` has a model and a form of models, or an adapter and that of adapters.

    Raises:
        OptionError: this is not so.
    """
    is_adapter, export = hasattr(args, "adapter_file"), getattr(args, "export", None)
    if is_adapter and export != _PEFT:
        raise OptionError(f"`adapter_file` is written for PEFT: give `export` {_PEFT} too")
    if not is_adapter and hasattr(args, "upload_repo"):
        raise OptionError("`upload_repo` is for adapters: give `adapter_file`; fuse uploads a fused model")
    if not is_adapter and export == _PEFT:
        raise OptionError(f"`export` {_PEFT} is for adapters: give `adapter_file`")
    for name in ("model", "dtype", "quantize", "q_bits", "q_group_size") if is_adapter else ():
        if hasattr(args, name):
            raise OptionError(f"`{name}` is for models, and `adapter_file` is given: leave out one of them")


@documented
@dataclass(frozen=True)
class FuseOptions:
    """The adapter, its base, and the folder for the result."""

    adapter_file: str = option("adapters.npz", f"The adapter: {ADAPTER_HELP}.", metavar="ADAPTER")
    adapter_strength: float = option(1.0, STRENGTH_HELP, minimum=0, maximum=MOST_STRENGTH)
    model: str | None = option(None, f"The base: {MODEL_HELP}.", shown_default="the base that the adapter names")
    save_path: str = option("fused_model", "Folder for the fused model.", metavar="FOLDER")
    upload_repo: str | None = option(None, f"Upload the model {UPLOAD_HELP}", metavar="OWNER/NAME", shown_default="no")

    def __post_init__(self):
        check_ranges(self)


@documented
@dataclass(frozen=True)
class FusedExportOptions(ExportOptions):
    """The form in which a fused model is written."""

    dtype: str = option(
        "float32",
        DTYPE_HELP,
        choices=DTYPES,
        shown_default="float32, because float16 can be too coarse for an adapter's share of a weight",
    )


def build_convert_parser() -> CommandParser:
    parser = CommandParser("mlx_whisper_lora.convert", CONVERT_DESCRIPTION, CONVERT_EXAMPLES)
    add_options(parser, ConvertOptions)
    add_options(parser.add_argument_group("the model or adapter that is written"), ConvertExportOptions)
    return parser


def build_fuse_parser() -> CommandParser:
    parser = CommandParser("mlx_whisper_lora.fuse", FUSE_DESCRIPTION, FUSE_EXAMPLES)
    add_options(parser, FuseOptions)
    add_options(parser.add_argument_group("the model that is written"), FusedExportOptions)
    return parser
