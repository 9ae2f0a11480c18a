"""Load models: folders in the layout of mlx-community's Whisper repositories, plain or quantized, folders of
transformers (`openai/whisper-*`, `distil-whisper/*`) and OpenAI's `.pt` files."""

from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import mlx.core as mx
from mlx.utils import tree_flatten

from mlx_whisper_lora.whisper.checkpoints.config import (
    ModelConfig,
    read_alignment_heads,
    read_dimensions,
    read_json,
    read_model_config,
)
from mlx_whisper_lora.whisper.checkpoints.ctranslate2 import read_ctranslate2
from mlx_whisper_lora.whisper.checkpoints.ggml import read_ggml
from mlx_whisper_lora.whisper.checkpoints.hf_names import from_hf_weights
from mlx_whisper_lora.whisper.checkpoints.hub import resolve_model
from mlx_whisper_lora.whisper.checkpoints.layout import (
    ALIGNMENT_HEADS,
    CONFIG_FILE,
    CTRANSLATE2_FILE,
    ENCODER_POSITIONS,
    GGML_SUFFIX,
    HF_WEIGHT_FILES,
    INDEX_FILE,
    PT_SUFFIX,
    WEIGHT_FILES,
)
from mlx_whisper_lora.whisper.checkpoints.openai_pt import read_pt
from mlx_whisper_lora.whisper.errors import ZIP_ERRORS, CheckpointError, one_line
from mlx_whisper_lora.whisper.model.alignment_heads import published_heads
from mlx_whisper_lora.whisper.model.quantization import quantize
from mlx_whisper_lora.whisper.model.whisper import Whisper

# Raised by `mx.load` on damaged files. For an .npz file, it calls Python's zipfile.
_MLX_ERRORS = (*ZIP_ERRORS, IndexError, MemoryError, OverflowError)


class _Checkpoint(NamedTuple):
    """A model as it is stored."""

    config: ModelConfig
    weights: dict[str, mx.array]  # by our names and in MLX's layout


def default_dtype() -> mx.Dtype:
    """Return float16 on a GPU, and float32 on a CPU, where half precision has no fast product."""
    return mx.float16 if mx.default_device() == mx.gpu else mx.float32


def load_model(path_or_hf_repo: str | PathLike, dtype: mx.Dtype | None = None, path: Path | None = None) -> Whisper:
    """Load a Whisper model.

    Args:
        path_or_hf_repo: a folder, a file, a Hub repository, a size or "demo" (see `hub.resolve_model`).
        dtype: the type to cast the weights to; by default `default_dtype()`. Quantized layers stay quantized, and
            compute in this type.
        path: where the files are, if `resolve_model` was asked already.

    Raises:
        CheckpointError: there is no such model, or its files are damaged or do not belong together.
    """
    path = path or resolve_model(path_or_hf_repo)
    config, weights = _read_checkpoint(path)
    model = Whisper(config.dims)
    if config.quantization:
        quantize(model, config.quantization, weights.keys())
    expected = dict(tree_flatten(model.parameters()))
    _check_weights(path, weights, expected)
    dtype = dtype or default_dtype()
    # Weights are popped, so that each stored array leaves memory once it is cast.
    model.load_weights([(name, _cast(weights.pop(name), dtype)) for name in expected])
    model.dtype = dtype
    _evaluate(path, model.parameters())
    model.alignment_heads = config.alignment_heads or published_heads(config.dims, str(path_or_hf_repo))
    model.eval()
    return model


def _check_weights(path: Path, weights: dict[str, mx.array], expected: dict[str, mx.array]) -> None:
    """Raise CheckpointError, naming `path`, unless `weights` have the names, shapes and types of `expected`."""
    for name, array in expected.items():
        if name not in weights:
            raise CheckpointError(f"{path}: the weights lack {name}, which a model of these dimensions has")
        if weights[name].shape != array.shape:
            raise CheckpointError(
                f"{path}: {name} has shape {weights[name].shape}, but the configuration asks for {array.shape}"
            )
        if _is_packed(weights[name]) != _is_packed(array):
            raise CheckpointError(
                f"{path}: {name} has type {weights[name].dtype}, which does not fit the configuration"
            )
    unknown = sorted(weights.keys() - expected.keys())
    if unknown:
        raise CheckpointError(f"{path}: the weights hold {unknown[0]}, which is not part of a Whisper model")


def _is_packed(array: mx.array) -> bool:
    """Return whether an array packs several quantized weights into each number."""
    return array.dtype == mx.uint32


def _cast(array: mx.array, dtype: mx.Dtype) -> mx.array:
    """Cast an array, unless it holds packed weights."""
    return array if _is_packed(array) else array.astype(dtype)


def _evaluate(path: Path, arrays: Any) -> None:
    """Let MLX read the numbers of `arrays` now. Raise CheckpointError, naming `path`, if some are missing."""
    try:
        mx.eval(arrays)
    except (RuntimeError, MemoryError) as error:
        raise CheckpointError(f"{path}: the weights are damaged or cut short ({one_line(error)})") from None


def _read_checkpoint(path: Path) -> _Checkpoint:
    """Read a model folder or `.pt` file. The numbers of safetensors files are read when they are first used.

    Raises:
        CheckpointError: a file is missing or damaged.
    """
    if (path / CTRANSLATE2_FILE).is_file():
        return _read_foreign(path, *read_ctranslate2(path / CTRANSLATE2_FILE))
    if path.suffix == GGML_SUFFIX:
        return _read_foreign(path, *read_ggml(path))
    if path.is_dir() and not (path / CONFIG_FILE).exists():
        files = sorted(path.glob("*" + PT_SUFFIX))
        if len(files) > 1:
            raise CheckpointError(f"{path}: several .pt files and no {CONFIG_FILE}: give the path of one file")
        path = files[0] if files else path
    if not path.is_dir():
        dims, weights = read_pt(path)
        config = ModelConfig(read_dimensions(path, dims))
    else:
        config = read_model_config(path)
        if config.is_hf:
            weights = from_hf_weights(read_weights(path, HF_WEIGHT_FILES), path)
        else:
            weights = read_weights(path)
            if ALIGNMENT_HEADS in weights:
                heads = weights.pop(ALIGNMENT_HEADS)
                _evaluate(path, heads)
                config = replace(config, alignment_heads=read_alignment_heads(path, heads.tolist(), config.dims))
    weights.pop(ENCODER_POSITIONS, None)  # many files store them, and our encoder computes them
    return _Checkpoint(config, weights)


def _read_foreign(path: Path, dims: dict[str, int], weights: dict[str, mx.array]) -> _Checkpoint:
    """Check the dimensions of a model of CTranslate2 or whisper.cpp. Take its alignment heads, if a file names them."""
    dimensions = read_dimensions(path, dims)
    weights.pop(ENCODER_POSITIONS, None)
    pairs = read_json(path / CONFIG_FILE).get("alignment_heads") if (path / CONFIG_FILE).is_file() else None
    heads = read_alignment_heads(path / CONFIG_FILE, pairs, dimensions)
    return _Checkpoint(ModelConfig(dimensions, alignment_heads=heads), weights)


def read_weights(folder: Path, files: Sequence[str] = WEIGHT_FILES) -> dict[str, mx.array]:
    """Read the weights of a model folder by the names that they are stored under.

    Args:
        folder: a folder that holds one of `files`, or an index that names several files.
        files: file names, in the order in which they are looked for.

    Raises:
        CheckpointError: a file is missing or damaged.
    """
    for name in files:
        if (folder / name).exists():
            return _read_arrays(folder / name)
    if not (folder / INDEX_FILE).exists():
        raise CheckpointError(f"{folder}: no weights; expected one of {', '.join((*files, INDEX_FILE))}")
    shards = read_json(folder / INDEX_FILE).get("weight_map")
    if not isinstance(shards, dict) or not all(isinstance(name, str) for name in shards.values()):
        raise CheckpointError(f"{folder / INDEX_FILE}: no weight_map, which should name the file of each weight")
    weights: dict[str, mx.array] = {}
    for name in sorted(set(shards.values())):
        if Path(name).name != name or not (folder / name).exists():
            raise CheckpointError(f"{folder / name}: the file is missing, but {INDEX_FILE} names it")
        weights |= _read_arrays(folder / name)
    return weights


def _read_arrays(path: Path) -> dict[str, mx.array]:
    """Read the arrays of a safetensors or NumPy file. Raise CheckpointError if it is damaged."""
    try:
        return mx.load(str(path))
    except _MLX_ERRORS as error:
        raise CheckpointError(f"{path}: damaged or cut short ({one_line(error)})") from None
