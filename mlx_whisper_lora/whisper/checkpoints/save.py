"""Save models in the layout of mlx-community's Whisper repositories, and choose among this and the other layouts."""

from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path

import mlx.core as mx
from mlx.utils import tree_flatten

from mlx_whisper_lora.whisper.atomic_files import output_folder
from mlx_whisper_lora.whisper.checkpoints.ctranslate2 import write_ctranslate2
from mlx_whisper_lora.whisper.checkpoints.files import write_json, write_weights
from mlx_whisper_lora.whisper.checkpoints.ggml import write_ggml
from mlx_whisper_lora.whisper.checkpoints.hf_export import generation_config, save_hf_model
from mlx_whisper_lora.whisper.checkpoints.hub import resolve_model
from mlx_whisper_lora.whisper.checkpoints.layout import (
    ALIGNMENT_HEADS,
    CONFIG_FILE,
    CTRANSLATE2_FILE,
    ENCODER_POSITIONS,
    GENERATION_CONFIG_FILE,
    GGML_FILE,
    GGML_SUFFIX,
    HF_WEIGHT_FILE,
    MLX_ENCODER_POSITIONS,
    PREPROCESSOR_FILE,
    TOKENIZER_FILES,
    WEIGHT_FILES,
)
from mlx_whisper_lora.whisper.checkpoints.weight_files import not_finite
from mlx_whisper_lora.whisper.destinations import check_folder
from mlx_whisper_lora.whisper.model.quantization import (
    GROUP_SIZES,
    Quantization,
    dequantize,
    quantization_of,
    quantize,
)
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.option import OptionError, check_ranges, documented, option

DTYPES = ("float16", "bfloat16", "float32")
DTYPE_HELP = (
    "Type of the weights. In a quantized model, the type of the other weights. mlx-whisper reads float16, and other "
    "types with its option --fp16 False."
)


LAYOUTS = ("mlx", "hf", "ct2", "ggml")
_FILES = {  # that each layout writes, and PEFT
    "mlx": {CONFIG_FILE, GENERATION_CONFIG_FILE, WEIGHT_FILES[0]},
    "hf": {CONFIG_FILE, GENERATION_CONFIG_FILE, PREPROCESSOR_FILE, HF_WEIGHT_FILE, "merges.txt", "normalizer.json"}
    | {*TOKENIZER_FILES},
    "ct2": {CONFIG_FILE, PREPROCESSOR_FILE, CTRANSLATE2_FILE, *TOKENIZER_FILES},
    "ggml": {GGML_FILE},
    "peft": {"adapter_config.json", "adapter_model.safetensors"},
}
LAYOUT_HELP = (
    "Layout. mlx: config.json and weights.safetensors, which mlx-whisper reads too. hf: a folder for transformers. "
    "ct2: a folder for faster-whisper and CTranslate2. ggml: a file for whisper.cpp, which runs float16."
)


@documented
@dataclass(frozen=True)
class ExportOptions:
    """The form in which a model is written.

    Raises:
        OptionError: a value is not allowed, or the layout does not have such weights.
    """

    dtype: str = option("float16", DTYPE_HELP, choices=DTYPES)
    quantize: bool = option(
        False,
        "Quantize the linear layers and the token embedding, for mlx, or for ct2 in 8 bits. Without it, the result "
        "has plain weights, even if the source is quantized.",
        short="-q",
    )
    q_bits: int = option(Quantization.bits, "Bits of a quantized weight.", choices=(4, 8))
    q_group_size: int = option(
        Quantization.group_size, "Neighboring weights that share a scale and a bias, for mlx.", choices=GROUP_SIZES
    )
    export: str = option("mlx", LAYOUT_HELP, choices=LAYOUTS)

    def __post_init__(self):
        check_ranges(self)
        if self.export in ("hf", "ggml") and self.quantize:
            raise OptionError(f"`export` {self.export} is written with plain weights: give no `quantize`")
        if self.export == "ct2" and self.quantize and self.q_bits != 8:
            raise OptionError(f"`export` ct2 is quantized in 8 bits, not {self.q_bits}: give `q_bits` 8")
        if self.export in ("ct2", "ggml") and self.dtype == "bfloat16":
            raise OptionError(f"`export` {self.export} is written in float16 or float32: give another `dtype`")


def export_model(model: Whisper, folder: str | PathLike, options: ExportOptions) -> None:
    """Convert a model to the form that the options describe, and write it.

    Args:
        model: plain or quantized. It is converted in place.
        folder: the model folder to write.
        options: layout, type and quantization.

    Raises:
        CheckpointError: the model does not fit the form.
        OptionError: numbers of the model are too large for the type.
        OSError: the folder cannot be written.
    """
    dequantize(model)
    model.set_dtype(getattr(mx, options.dtype))
    if name := not_finite(model):
        raise OptionError(f"numbers of {name} are too large for `dtype` {options.dtype}: give float32 or bfloat16")
    if options.quantize and options.export == "mlx":
        quantize(model, Quantization(options.q_group_size, options.q_bits))
    if options.export == "ct2":
        write_ctranslate2(model, folder, int8=options.quantize)
    else:
        write = {"mlx": save_model, "hf": save_hf_model, "ggml": write_ggml}
        write[options.export](model, folder)


def check_model_folder(folder: str | PathLike, layout: str) -> None:
    """Check that a folder can be written, and has no files beside which a model would not be what it seems.

    Args:
        folder: the folder to write a model into.
        layout: one of LAYOUTS, or "peft".

    Raises:
        OptionError: the folder has other files: of a model in another layout, which would be read instead, or clips.
        OSError: no file can be written into the folder.
    """
    check_folder(folder)
    path = Path(folder)
    names = sorted(each.name for each in path.iterdir()) if path.is_dir() else []
    others = [name for name in names if name not in _FILES[layout] and not _is_aside(name)]
    if others:
        raise OptionError(
            f"{folder}: it has other files ({', '.join(others[:3])}{', ...' * (len(others) > 3)}), and a model is "
            "written into a folder of its own: give another `save_path`, or remove them"
        )


def _is_aside(name: str) -> bool:
    """Return whether a file may lie beside any model: a card, or what a system or a killed process has left."""
    return name.startswith(".") or ".partial" in name or name.upper().startswith(("README", "LICENSE"))


def check_not_source(folder: str | PathLike, source: str | PathLike) -> None:
    """Check that a model is not about to replace the one that it is made from.

    Args:
        folder: the folder to write.
        source: a name or path of a model, as `resolve_model` takes it.

    Raises:
        ValueError: `folder` is the source, or holds it as a file of a name that is written.
    """
    path = resolve_model(source)
    path = path.parent if path.suffix == GGML_SUFFIX and path.is_file() else path
    if Path(folder).exists() and Path(folder).samefile(path):  # a disk may ignore case
        raise ValueError(f"{folder}: the result would replace the model that it is made from: give another folder")


def save_model(model: Whisper, folder: str | PathLike) -> None:
    """Write a folder with config.json and weights.safetensors, which `load_model` and mlx-whisper read.

    The folder is written atomically. The meaning of tokens is in generation_config.json, as in folders of transformers.

    Args:
        model: plain or quantized.
        folder: the folder. Files of the same names in it are replaced.

    Raises:
        OSError: the folder cannot be written, or the disk is full.
    """
    weights = dict(tree_flatten(model.parameters()))
    if ENCODER_POSITIONS in weights:
        weights[MLX_ENCODER_POSITIONS] = weights.pop(ENCODER_POSITIONS)
    if model.alignment_heads is not None:
        weights[ALIGNMENT_HEADS] = mx.array(model.alignment_heads)
    config = {"model_type": "whisper", **model.dims.to_dict()}
    quantization = quantization_of(model)
    if quantization:
        config["quantization"] = asdict(quantization)
    with output_folder(folder, last=CONFIG_FILE) as path:
        write_weights(path / WEIGHT_FILES[0], weights, "mlx")
        if model.knows_tokens:
            write_json(path / GENERATION_CONFIG_FILE, generation_config(model, model.tokenizer()))
        write_json(path / CONFIG_FILE, config)
