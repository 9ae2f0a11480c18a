"""Read the files that hold a model's weights, and give the weights our names and MLX's layout.

A folder may mix a configuration of one library with names of another, so the names alone decide.
"""

import json
import mmap
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
from mlx.utils import tree_flatten

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
from mlx_whisper_lora.whisper.model.whisper import Whisper

# Raised by `mx.load` on damaged files. For an .npz file, it calls Python's zipfile.
_MLX_ERRORS = (*ZIP_ERRORS, IndexError, MemoryError, OverflowError)
# Types of the same width, and the bits of the exponent. In NaN and infinity, all of these are set.
_EXPONENTS = {
    mx.float16: (mx.uint16, np.uint16(0x7C00)),
    mx.bfloat16: (mx.uint16, np.uint16(0x7F80)),
    mx.float32: (mx.uint32, np.uint32(0x7F800000)),
}
# No trained weights can be compressed as well as this. A file that is smaller would fill the memory.
_MOST_COMPRESSION = 20
_SMALL = 2**20  # bytes that any archive may hold
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
            read = _read_shards if name.endswith(INDEX_SUFFIX) else read_arrays
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
        same = mx.array_equal(output, embedding)  # at once false if the shapes differ
        evaluate(source, same)
        if not same.item():
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


def not_finite(model: Whisper) -> str | None:
    """Return the name of a parameter of a model that holds NaN or infinite numbers, or None if all are finite."""
    for name, array in tree_flatten(model.parameters()):
        if array.dtype in _EXPONENTS:  # NumPy reads the bits ten times as fast as MLX tests the numbers
            integers, exponent = _EXPONENTS[array.dtype]
            if (np.array(array.view(integers), copy=False) & exponent == exponent).any():
                return name
    return None


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
        weights |= read_arrays(path)
    return weights


def read_arrays(path: Path) -> dict[str, mx.array]:
    """Read the arrays of a .safetensors, .npz or .bin file. float64 becomes float32.

    The numbers of safetensors files are read on their first use.

    Raises:
        CheckpointError: the file is damaged, or would run a program.
    """
    if path.suffix not in (".safetensors", ".npz"):
        return read_torch_zip(path).weights
    if path.suffix == ".npz":
        _check_unpacked_size(path)
    try:
        arrays = _mlx_load(path)
    except _MLX_ERRORS as error:
        if path.suffix == ".safetensors" and "F64" in str(error):
            return _read_float64_safetensors(path)
        raise CheckpointError(f"{path}: damaged or cut short ({one_line(error)})") from None
    # A GPU has no float64, so the CPU casts it.
    return {
        name: array.astype(mx.float32, stream=mx.cpu) if array.dtype == mx.float64 else array
        for name, array in arrays.items()
    }


def read_metadata(path: Path) -> dict[str, str]:
    """Return the metadata of a safetensors file that `read_arrays` has read."""
    with path.open("rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        metadata = json.loads(file.read(size)).get("__metadata__")
    return metadata if isinstance(metadata, dict) else {}


def _mlx_load(path: Path) -> dict[str, mx.array]:
    """Load arrays with MLX, which takes no names but those in UTF-8."""
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError:
        with path.open("rb") as file:
            arrays = mx.load(file, format=path.suffix[1:])
            mx.eval(arrays)
            return arrays
    return mx.load(str(path))


def _check_unpacked_size(path: Path) -> None:
    """Raise CheckpointError if a NumPy archive unpacks to far more than its size."""
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
    except ZIP_ERRORS as error:
        raise CheckpointError(f"{path}: damaged or cut short ({one_line(error)})") from None
    if unpacked > _MOST_COMPRESSION * path.stat().st_size + _SMALL:
        raise CheckpointError(
            f"{path}: its {path.stat().st_size} bytes unpack to {unpacked}, which no trained weights do, so it was not "
            "read"
        )


def _read_float64_safetensors(path: Path) -> dict[str, mx.array]:
    """Read a safetensors file with float64, which MLX's reader does not know. Raise CheckpointError if it is damaged.

    The file is the length of a header, the header in JSON, and the numbers.
    """
    with path.open("rb") as file:
        data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    try:
        (size,) = struct.unpack_from("<Q", data)
        header = json.loads(bytes(data[8 : 8 + size]))
        stored = (entry["data_offsets"] for name, entry in header.items() if name != "__metadata__")
        if sum(end - start for start, end in stored) > len(data) - 8 - size:
            raise ValueError("arrays overlap")
        return {
            name: _safetensors_array(data[8 + size :], **entry)
            for name, entry in header.items()
            if name != "__metadata__"
        }
    except (struct.error, ValueError, TypeError, AttributeError, LookupError, OverflowError, RecursionError) as error:
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
