"""Read the files that hold a model's weights, and give the weights our names and MLX's layout.

A folder may mix a configuration of one library with names of another, so the names alone decide.
"""

import json
import mmap
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np

from mlx_whisper_lora.whisper.checkpoints.config import read_json
from mlx_whisper_lora.whisper.checkpoints.hf_names import from_hf
from mlx_whisper_lora.whisper.checkpoints.layout import (
    INDEX_SUFFIX,
    TORCH_WEIGHT_FILES,
    WEIGHT_FILES,
    from_openai,
    stored_kernel,
)
from mlx_whisper_lora.whisper.checkpoints.torch_zip import read_torch_zip
from mlx_whisper_lora.whisper.errors import ZIP_ERRORS, CheckpointError, one_line

# Raised by `mx.load` on damaged files. For an .npz file, it calls Python's zipfile.
_MLX_ERRORS = (*ZIP_ERRORS, IndexError, MemoryError, OverflowError)
# The types of a safetensors file. NumPy has no bfloat16, so it reads the bits.
_SAFETENSORS_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}


def read_weights(folder: Path) -> dict[str, mx.array]:
    """Read the weights of a model folder. safetensors and NumPy files are preferred to PyTorch's.

    Args:
        folder: a folder that holds one of WEIGHT_FILES or TORCH_WEIGHT_FILES.

    Returns:
        The weights by our names and in MLX's layout. The numbers of safetensors files are read on their first use.

    Raises:
        CheckpointError: a file is missing or damaged, or holds a weight twice.
    """
    files = (*WEIGHT_FILES, *TORCH_WEIGHT_FILES)
    for name in files:
        if (folder / name).exists():
            read = _read_shards if name.endswith(INDEX_SUFFIX) else _read_arrays
            return our_weights(read(folder / name), folder)
    raise CheckpointError(f"{folder}: no weights; expected one of {', '.join(files)}")


def our_weights(stored: Mapping[str, mx.array], source: Path) -> dict[str, mx.array]:
    """Return weights by our names and in MLX's layout.

    Args:
        stored: arrays by the names of transformers, of OpenAI or of MLX.
        source: the file or folder, to be named in errors.

    Raises:
        CheckpointError: two names stand for one weight, or the output layer differs from the token embedding.
    """
    names = {name: from_openai(from_hf(name)) for name in stored}
    if len(set(names.values())) < len(names):
        raise CheckpointError(f"{source}: a weight is stored twice, under the names of two libraries")
    ours = {names[name]: stored_kernel(names[name], array) for name, array in stored.items()}
    output, embedding = ours.pop("proj_out.weight", None), ours.get("decoder.token_embedding.weight")
    if output is not None and embedding is not None:
        evaluate(source, (output, embedding))
        if not mx.array_equal(output, embedding):
            raise CheckpointError(
                f"{source}: the output layer proj_out differs from the token embedding; in Whisper they are the same"
            )
    return ours


def evaluate(path: Path, arrays: Any) -> None:
    """Let MLX read the numbers of `arrays` now. Raise CheckpointError, naming `path`, if some are missing."""
    try:
        mx.eval(arrays)
    except (RuntimeError, MemoryError) as error:
        raise CheckpointError(f"{path}: the weights are damaged or cut short ({one_line(error)})") from None


def _read_shards(index: Path) -> dict[str, mx.array]:
    """Read the files that an index names. Raise CheckpointError if the index is damaged or a file is missing."""
    shards = read_json(index).get("weight_map")
    if not isinstance(shards, dict) or not all(isinstance(name, str) for name in shards.values()):
        raise CheckpointError(f"{index}: no weight_map, which should name the file of each weight")
    weights: dict[str, mx.array] = {}
    for name in sorted(set(shards.values())):
        path = index.parent / name
        if Path(name).name != name or not path.exists():
            raise CheckpointError(f"{path}: the file is missing, but {index.name} names it")
        weights |= _read_arrays(path)
    return weights


def _read_arrays(path: Path) -> dict[str, mx.array]:
    """Read the arrays of a file, with float32 in the place of float64. Raise CheckpointError if it is damaged."""
    if path.suffix not in (".safetensors", ".npz"):
        return read_torch_zip(path).weights
    try:
        arrays = mx.load(str(path))
    except _MLX_ERRORS as error:
        if path.suffix == ".safetensors" and "F64" in str(error):
            return _read_float64_safetensors(path)
        raise CheckpointError(f"{path}: damaged or cut short ({one_line(error)})") from None
    # A GPU has no float64, so the CPU casts it.
    return {
        name: array.astype(mx.float32, stream=mx.cpu) if array.dtype == mx.float64 else array
        for name, array in arrays.items()
    }


def _read_float64_safetensors(path: Path) -> dict[str, mx.array]:
    """Read a safetensors file with float64, which MLX's reader does not know. Raise CheckpointError if it is damaged.

    The file is the length of a header, the header in JSON, and the numbers.
    """
    with path.open("rb") as file:
        data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    try:
        (size,) = struct.unpack_from("<Q", data)
        header = json.loads(bytes(data[8 : 8 + size]))
        return {
            name: _safetensors_array(data[8 + size :], **entry)
            for name, entry in header.items()
            if name != "__metadata__"
        }
    except (struct.error, ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise CheckpointError(f"{path}: damaged or cut short ({one_line(error)})") from None


def _safetensors_array(data: memoryview, dtype: str, shape: list[int], data_offsets: tuple[int, int]) -> mx.array:
    """Read an array that a header describes. Raise ValueError or TypeError if the description is damaged."""
    start, end = data_offsets
    if dtype not in _SAFETENSORS_TYPES:
        raise ValueError(f"beside float64, the type {dtype} is not read")
    if not 0 <= start <= end <= len(data):
        raise ValueError("an array lies outside the file")
    array = mx.array(np.frombuffer(data[start:end], _SAFETENSORS_TYPES[dtype]).reshape(shape))
    return array.view(mx.bfloat16) if dtype == "BF16" else array
