"""TODO."""

import json
from dataclasses import asdict
from os import PathLike
from pathlib import Path

import mlx.core as mx
from mlx.utils import tree_flatten

from mlx_whisper_lora.whisper.atomic_files import atomic_write, output_folder
from mlx_whisper_lora.whisper.checkpoints.layout import ALIGNMENT_HEADS, CONFIG_FILE, WEIGHT_FILES
from mlx_whisper_lora.whisper.model.quantization import quantization_of
from mlx_whisper_lora.whisper.model.whisper import Whisper


def save_model(model: Whisper, folder: str | PathLike) -> None:
    """Write `model` as a folder of config.json and weights.safetensors that `load_model` and mlx-whisper read.

    Each file appears whole or not at all, the configuration last; a folder made for them goes again when one fails.
    Raises OSError when the disk is full.
    """
    weights = dict(tree_flatten(model.parameters()))
    if model.alignment_heads is not None:
        weights[ALIGNMENT_HEADS] = mx.array(model.alignment_heads)
    config = {"model_type": "whisper", **model.dims.to_dict()}
    quantization = quantization_of(model)
    if quantization:
        config["quantization"] = asdict(quantization)
    with output_folder(folder) as path:
        write_weights(path / WEIGHT_FILES[0], weights, "mlx")
        write_json(path / CONFIG_FILE, config)


def write_weights(path: Path, weights: dict[str, mx.array], framework: str) -> None:
    """Write a safetensors file; `framework` goes into its metadata, where transformers expects "pt"."""
    # Through a Python file, because MLX's own writer does not notice a full disk.
    with atomic_write(path, "wb") as file:
        mx.save_safetensors(file, weights, metadata={"format": framework})


def write_json(path: Path, value: object) -> None:
    with atomic_write(path) as file:
        json.dump(value, file, indent=2, ensure_ascii=False)
        file.write("\n")
