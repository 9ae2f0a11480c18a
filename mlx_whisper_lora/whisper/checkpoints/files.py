"""Write the files of a model folder, each of them atomically."""

import json
from pathlib import Path

import mlx.core as mx

from mlx_whisper_lora.whisper.atomic_files import atomic_write


def write_weights(path: Path, weights: dict[str, mx.array], framework: str, **metadata: str) -> None:
    """Write a safetensors file.

    Args:
        path: the file.
        weights: arrays by name.
        framework: goes into the file's metadata, where transformers expects "pt".
        metadata: more of it.
    """
    # Through a Python file, because MLX's own writer does not notice a full disk.
    with atomic_write(path, "wb") as file:
        mx.save_safetensors(file, weights, metadata={"format": framework, **metadata})


def write_json(path: Path, value: object) -> None:
    """Write a JSON file with indented lines."""
    with atomic_write(path) as file:
        json.dump(value, file, indent=2, ensure_ascii=False)
        file.write("\n")
