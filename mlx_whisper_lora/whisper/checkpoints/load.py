"""Load and save models.

Read are folders in the layout of mlx-community's Whisper repositories, plain or quantised, folders of transformers
(`openai/whisper-*`, `distil-whisper/*`) and OpenAI's `.pt` files; written are mlx-community's (here) and transformers'
(`hf_export`).
"""

from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path

import mlx.core as mx
from mlx.utils import tree_flatten

from mlx_whisper_lora.whisper.checkpoints.config import (
    Config,
    read_alignment_heads,
    read_dimensions,
    read_json,
    read_model_config,
)
from mlx_whisper_lora.whisper.checkpoints.hf_names import from_hf_weights
from mlx_whisper_lora.whisper.checkpoints.hub import resolve_model
from mlx_whisper_lora.whisper.checkpoints.layout import (
    ALIGNMENT_HEADS,
    CONFIG_FILE,
    HF_WEIGHT_FILES,
    INDEX_FILE,
    PT_SUFFIX,
    WEIGHT_FILES,
)
from mlx_whisper_lora.whisper.checkpoints.openai_pt import read_pt
from mlx_whisper_lora.whisper.errors import DAMAGED_FILE_ERRORS, CheckpointError, one_line
from mlx_whisper_lora.whisper.model.alignment_heads import published_heads
from mlx_whisper_lora.whisper.model.quantization import quantize
from mlx_whisper_lora.whisper.model.whisper import Whisper


def default_dtype() -> mx.Dtype:
    """float16 on a GPU; float32 on a CPU, where half precision has no fast product."""
    return mx.float16 if mx.default_device() == mx.gpu else mx.float32


def load_model(path_or_hf_repo: str | PathLike, dtype: mx.Dtype | None = None) -> Whisper:
    """Load a Whisper model by any name that `hub.resolve_model` knows.

    Weights are cast to `dtype` (default: `default_dtype()`); quantised layers stay so, and compute in that type. Raises
    CheckpointError when there is no such model, or its files are damaged or do not belong together.
    """
    path = resolve_model(path_or_hf_repo)
    config, weights = read_checkpoint(path)
    model = Whisper(config.dims)
    if config.quantization:
        quantize(model, config.quantization, weights.keys())
    expected = dict(tree_flatten(model.parameters()))
    check_weights(path, weights, expected)
    dtype = dtype or default_dtype()
    # Popped, so that what is cast goes out of memory array by array.
    model.load_weights([(name, cast(weights.pop(name), dtype)) for name in expected])
    model.dtype = dtype
    try:
        mx.eval(model.parameters())  # files are read here, and damage inside them found
    except DAMAGED_FILE_ERRORS as error:
        raise CheckpointError(f"{path}: the weights are damaged or cut short ({one_line(error)})") from None
    model.alignment_heads = config.alignment_heads or published_heads(config.dims, str(path_or_hf_repo))
    model.eval()
    return model


def check_weights(path: Path, weights: dict[str, mx.array], expected: dict[str, mx.array]) -> None:
    """Raise CheckpointError, naming `path`, unless `weights` are those that a model of its dimensions has."""
    for name, array in expected.items():
        if name not in weights:
            raise CheckpointError(f"{path}: the weights lack {name}, which a model of its dimensions has")
        if weights[name].shape != array.shape:
            raise CheckpointError(
                f"{path}: {name} has shape {weights[name].shape}, and its dimensions ask for {array.shape}"
            )
        if is_packed(weights[name]) != is_packed(array):
            raise CheckpointError(
                f"{path}: {name} has type {weights[name].dtype}, which does not fit the configuration"
            )
    unknown = sorted(weights.keys() - expected.keys())
    if unknown:
        raise CheckpointError(f"{path}: the weights hold {unknown[0]}, which is no part of a Whisper model")


def is_packed(array: mx.array) -> bool:
    """Whether an array holds several quantised weights in each number."""
    return array.dtype == mx.uint32


def cast(array: mx.array, dtype: mx.Dtype) -> mx.array:
    return array if is_packed(array) else array.astype(dtype)


def read_checkpoint(path: Path) -> tuple[Config, dict[str, mx.array]]:
    """What a model folder or `.pt` file holds: its configuration, and the weights by our names in MLX's layout.

    The arrays of safetensors files are read when they are first computed with. Raises CheckpointError.
    """
    if path.is_dir() and not (path / CONFIG_FILE).exists():
        files = sorted(path.glob("*" + PT_SUFFIX))
        if len(files) > 1:
            raise CheckpointError(f"{path}: several .pt files, and no {CONFIG_FILE}: give the path of one")
        path = files[0] if files else path
    if not path.is_dir():
        dims, weights = read_pt(path)
        weights.pop("encoder.positional_embedding", None)
        return Config(read_dimensions(path, dims, {}), False, None, None), weights
    config = read_model_config(path)
    if config.is_hf:
        weights = from_hf_weights(read_weights(path, HF_WEIGHT_FILES), path)
    else:
        weights = read_weights(path)
        if ALIGNMENT_HEADS in weights:
            pairs = weights.pop(ALIGNMENT_HEADS).tolist()
            config = replace(config, alignment_heads=read_alignment_heads(path, pairs, config.dims))
    # Positions of the encoder are computed; many files store them all the same.
    weights.pop("encoder.positional_embedding", None)
    return config, weights


def read_weights(folder: Path, files: Sequence[str] = WEIGHT_FILES) -> dict[str, mx.array]:
    """The arrays of the first of `files` in `folder`, or of several files with an index. Raises CheckpointError."""
    for name in files:
        if (folder / name).exists():
            return read_arrays(folder / name)
    if not (folder / INDEX_FILE).exists():
        raise CheckpointError(f"{folder}: no weights; expected one of {', '.join((*files, INDEX_FILE))}")
    shards = read_json(folder / INDEX_FILE).get("weight_map")
    if not isinstance(shards, dict) or not all(isinstance(name, str) for name in shards.values()):
        raise CheckpointError(f"{folder / INDEX_FILE}: no weight_map, which should say which file each weight is in")
    weights: dict[str, mx.array] = {}
    for name in sorted(set(shards.values())):
        if Path(name).name != name or not (folder / name).exists():
            raise CheckpointError(f"{folder / name}: the file is missing, and {INDEX_FILE} names it")
        weights |= read_arrays(folder / name)
    return weights


def read_arrays(path: Path) -> dict[str, mx.array]:
    """The arrays of a safetensors or NumPy file. Raises CheckpointError."""
    try:
        return mx.load(str(path))
    except DAMAGED_FILE_ERRORS as error:
        raise CheckpointError(f"{path}: damaged or cut short ({one_line(error)})") from None
