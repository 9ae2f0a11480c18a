"""Load models: folders in the layout of mlx-community's Whisper repositories, plain or quantized, folders of
transformers (`openai/whisper-*`, `distil-whisper/*`), OpenAI's `.pt` files, folders of CTranslate2 and files of
whisper.cpp."""

from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import NamedTuple

import mlx.core as mx
from mlx.utils import tree_flatten

from mlx_whisper_lora.whisper.checkpoints.config import (
    ModelConfig,
    derive_dimensions,
    read_alignment_heads,
    read_dimensions,
    read_json,
    read_model_config,
    read_tokens,
)
from mlx_whisper_lora.whisper.checkpoints.ctranslate2 import read_ctranslate2
from mlx_whisper_lora.whisper.checkpoints.ggml import read_ggml
from mlx_whisper_lora.whisper.checkpoints.hub import resolve_model
from mlx_whisper_lora.whisper.checkpoints.layout import (
    ALIGNMENT_HEADS,
    CONFIG_FILE,
    CTRANSLATE2_FILE,
    ENCODER_POSITIONS,
    GGML_FILE,
    GGML_SUFFIX,
    PT_SUFFIX,
    TOKEN_EMBEDDING,
)
from mlx_whisper_lora.whisper.checkpoints.torch_zip import is_torch_zip, read_torch_zip
from mlx_whisper_lora.whisper.checkpoints.vocabulary import find_vocabulary
from mlx_whisper_lora.whisper.checkpoints.weight_files import evaluate, not_finite, our_weights, read_weights
from mlx_whisper_lora.whisper.errors import CheckpointError
from mlx_whisper_lora.whisper.model.alignment_heads import published_heads
from mlx_whisper_lora.whisper.model.quantization import quantize
from mlx_whisper_lora.whisper.model.whisper import Whisper, are_sinusoids
from mlx_whisper_lora.whisper.text.tokenizer import Vocabulary


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
    checkpoint = _read_checkpoint(path)
    vocabulary = find_vocabulary(path, checkpoint.config.dims)
    config, weights = _drop_unused_tokens(checkpoint, vocabulary)
    model = Whisper(config.dims)
    model.vocabulary = vocabulary
    if config.quantization:
        quantize(model, config.quantization, weights.keys())
    _take_positions(path, model, weights)
    expected = dict(tree_flatten(model.parameters()))
    _check_weights(path, weights, expected)
    dtype = dtype or default_dtype()
    # Weights are popped, so that each stored array leaves memory once it is cast.
    model.load_weights([(name, _cast(weights.pop(name), dtype)) for name in expected])
    model.dtype = dtype
    evaluate(path, model.parameters())
    if name := not_finite(model):
        raise CheckpointError(f"{path}: {_why_not_finite(path, name, dtype)}")
    model.alignment_heads = config.alignment_heads or published_heads(config.dims, str(path_or_hf_repo))
    model.audio_context = config.audio_context
    if model.knows_tokens and config.language in model.vocabulary.languages:
        model.default_language = config.language
    model.suppress_tokens, model.begin_suppress_tokens = (
        tokens and tuple(token for token in tokens if token < config.dims.n_vocab)
        for tokens in (config.suppress_tokens, config.begin_suppress_tokens)
    )
    model.eval()
    return model


def _drop_unused_tokens(checkpoint: _Checkpoint, vocabulary: Vocabulary | None) -> _Checkpoint:
    """Remove rows of the token embedding that stand for no token of the vocabulary, such as one for padding."""
    config, weights = checkpoint
    if vocabulary is None or vocabulary.size == config.dims.n_vocab:
        return checkpoint
    for name in (f"{TOKEN_EMBEDDING}.{part}" for part in ("weight", "scales", "biases")):  # quantized in three parts
        if name in weights and weights[name].shape[:1] == (config.dims.n_vocab,):
            weights[name] = weights[name][: vocabulary.size]
    return _Checkpoint(replace(config, dims=replace(config.dims, n_vocab=vocabulary.size)), weights)


def _take_positions(path: Path, model: Whisper, weights: dict[str, mx.array]) -> None:
    """Make trained encoder positions among `weights` a parameter of `model`. Remove sinusoids from them."""
    if ENCODER_POSITIONS not in weights:
        return
    positions = weights[ENCODER_POSITIONS]
    if positions.shape == model.encoder.positions.shape:
        evaluate(path, positions)
        if are_sinusoids(positions):
            del weights[ENCODER_POSITIONS]
            return
    model.encoder.positional_embedding = model.encoder.positions


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


def _why_not_finite(path: Path, name: str, dtype: mx.Dtype) -> str:
    """Return why a weight that was cast to `dtype` is not finite: it is stored so, or it is too large for the type."""
    stored = _read_checkpoint(path).weights[name]
    if dtype == mx.float16 and mx.isfinite(stored.astype(mx.float32)).all().item():
        return f"numbers of {name} are too large for float16; use float32 (transcribe --fp16 False, convert --dtype)"
    return f"{name} holds NaN or infinite numbers; the file is damaged, or its training failed"


def _read_checkpoint(path: Path) -> _Checkpoint:
    """Read a model folder or file. The numbers of safetensors files are read when they are first used.

    Raises:
        CheckpointError: a file is missing or damaged.
    """
    if (path / CTRANSLATE2_FILE).is_file():
        return _read_foreign(path, *read_ctranslate2(path / CTRANSLATE2_FILE))
    if (path / CONFIG_FILE).exists():
        return _read_folder(path)
    file = _find_file(path) if path.is_dir() else path
    if file.suffix == GGML_SUFFIX and not is_torch_zip(file):
        return _read_foreign(file, *read_ggml(file))
    dims, stored = read_torch_zip(file)
    weights = our_weights(stored, file)
    dimensions = derive_dimensions(file, weights) if dims is None else read_dimensions(file, dims)
    return _Checkpoint(ModelConfig(dimensions), weights)


def _find_file(folder: Path) -> Path:
    """Return the model file of a folder without config.json, of whisper.cpp or a `.pt`.

    Raises:
        CheckpointError: there is none, or there are several.
    """
    if (folder / GGML_FILE).is_file():
        return folder / GGML_FILE
    files = sorted(folder.glob("*" + PT_SUFFIX))
    if len(files) > 1:
        raise CheckpointError(f"{folder}: several .pt files and no {CONFIG_FILE}: give the path of one file")
    if not files:
        raise CheckpointError(f"{folder}: no {CONFIG_FILE}, so this is not a model folder")
    return files[0]


def _read_folder(path: Path) -> _Checkpoint:
    """Read a folder with a configuration, of MLX or of transformers."""
    config = read_model_config(path)
    weights = read_weights(path)
    if ALIGNMENT_HEADS in weights:
        heads = weights.pop(ALIGNMENT_HEADS)
        if heads.size > 2 * config.dims.n_text_layer * config.dims.n_text_head:
            raise CheckpointError(f"{path}: {ALIGNMENT_HEADS} has shape {heads.shape}, more than the model has heads")
        evaluate(path, heads)
        config = replace(config, alignment_heads=read_alignment_heads(path, heads.tolist(), config.dims))
    return _Checkpoint(config, weights)


def _read_foreign(path: Path, dims: dict[str, int], weights: dict[str, mx.array]) -> _Checkpoint:
    """Check the dimensions of a model of CTranslate2 or whisper.cpp. Take its alignment heads, if a file names them."""
    dimensions = read_dimensions(path, dims)
    file = path / CONFIG_FILE
    stored = read_json(file) if file.is_file() else {}
    config = ModelConfig(
        dimensions,
        alignment_heads=read_alignment_heads(file, stored.get("alignment_heads"), dimensions),
        suppress_tokens=read_tokens(file, stored, "suppress_ids"),
        begin_suppress_tokens=read_tokens(file, stored, "suppress_ids_begin"),
    )
    return _Checkpoint(config, weights)
