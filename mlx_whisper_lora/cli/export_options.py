"""The command lines of `convert` and `fuse`."""

from dataclasses import dataclass

from mlx_whisper_lora.cli.options import CommandParser, add_options
from mlx_whisper_lora.whisper.checkpoints.hub import DEMO, MODEL_HELP
from mlx_whisper_lora.whisper.checkpoints.save import DTYPE_HELP, DTYPES, ExportOptions
from mlx_whisper_lora.whisper.option import documented, option

CONVERT_DESCRIPTION = """\
Write a Whisper model in another format, type or quantization. It reads folders of MLX, plain or quantized, folders of
transformers or CTranslate2, PyTorch's files and whisper.cpp's .bin files; it writes models for MLX, transformers,
faster-whisper and whisper.cpp.
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

  the base is in a folder of your own
    python -m mlx_whisper_lora.fuse --adapter-file adapters.npz --model models/whisper-small --save-path whisper-telugu

Afterwards: python -m mlx_whisper_lora.transcribe --model fused_model --audio x.wav
"""


@documented
@dataclass(frozen=True)
class ConvertOptions:
    """The model to convert, and the folder for the result."""

    model: str = option(DEMO, f"The model to convert: {MODEL_HELP}.", shown_default=f"{DEMO}, the bundled model")
    save_path: str = option("converted_model", "Folder for the result.", metavar="FOLDER")


@documented
@dataclass(frozen=True)
class FuseOptions:
    """The adapter, its base, and the folder for the result."""

    adapter_file: str = option("adapters.npz", "The adapter.", metavar="FILE")
    model: str | None = option(None, f"The base: {MODEL_HELP}.", shown_default="the base that the adapter names")
    save_path: str = option("fused_model", "Folder for the fused model.", metavar="FOLDER")


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
    add_options(parser.add_argument_group("the model that is written"), ExportOptions)
    return parser


def build_fuse_parser() -> CommandParser:
    parser = CommandParser("mlx_whisper_lora.fuse", FUSE_DESCRIPTION, FUSE_EXAMPLES)
    add_options(parser, FuseOptions)
    add_options(parser.add_argument_group("the model that is written"), FusedExportOptions)
    return parser
