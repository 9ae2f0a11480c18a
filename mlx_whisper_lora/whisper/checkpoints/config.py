"""Read a model folder's `config.json`, in the layout of MLX or of Hugging Face's transformers."""

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import mlx.core as mx

from mlx_whisper_lora.whisper.audio.constants import CHUNK_LENGTH, HOP_LENGTH, N_FFT, SAMPLE_RATE
from mlx_whisper_lora.whisper.audio.context import is_context
from mlx_whisper_lora.whisper.checkpoints.layout import (
    CONFIG_FILE,
    ENCODER_POSITIONS,
    GENERATION_CONFIG_FILE,
    PREPROCESSOR_FILE,
    PROCESSOR_FILE,
)
from mlx_whisper_lora.whisper.errors import CheckpointError
from mlx_whisper_lora.whisper.model.quantization import Quantization
from mlx_whisper_lora.whisper.model.whisper import DIMENSIONS, AlignmentHeads, ModelDimensions
from mlx_whisper_lora.whisper.text.languages import language_code

# Our names of the dimensions, and those of transformers, whose encoder and decoder are equally wide.
_HF_DIMENSIONS = {
    "n_mels": "num_mel_bins",
    "n_audio_ctx": "max_source_positions",
    "n_audio_state": "d_model",
    "n_audio_head": "encoder_attention_heads",
    "n_audio_layer": "encoder_layers",
    "n_vocab": "vocab_size",
    "n_text_ctx": "max_target_positions",
    "n_text_state": "d_model",
    "n_text_head": "decoder_attention_heads",
    "n_text_layer": "decoder_layers",
}
# Far above every Whisper. A damaged number must not fill the memory before the weights are read.
_MOST_LAYERS = 256
_LARGEST_DIMENSION = 2**20
_MOST_POSITION_NUMBERS = 2**24  # in the encoder's position embedding
_HEAD_WIDTH = 64  # of OpenAI's models


@dataclass(frozen=True)
class ModelConfig:
    """The configuration of a model."""

    dims: ModelDimensions
    quantization: Quantization | None = None  # None if the weights are plain
    alignment_heads: AlignmentHeads | None = None  # None if the folder does not name them
    suppress_tokens: tuple[int, ...] | None = None  # None if the folder does not name them
    begin_suppress_tokens: tuple[int, ...] | None = None  # None if the folder does not name them
    audio_context: float = CHUNK_LENGTH  # seconds that windows are padded to, or AUTO
    language: str | None = None  # the one that the folder names, as those of fine-tuned models do


def read_model_config(folder: Path) -> ModelConfig:
    """Read the configuration of a model folder. Unknown keys are ignored.

    Raises:
        CheckpointError: the folder has no configuration, or one of another model, or a damaged one.
    """
    path = folder / CONFIG_FILE
    try:
        config = read_json(path)
    except FileNotFoundError:
        raise CheckpointError(f"{folder}: no {CONFIG_FILE}, so this is not a model folder") from None
    model_type = config.get("model_type", "whisper")
    if model_type != "whisper":
        raise CheckpointError(f"{path}: this is a {model_type} model, not Whisper")
    is_hf = "d_model" in config
    dims = read_dimensions(path, config, is_hf)
    if is_hf and (config.get("activation_function", "gelu") != "gelu" or config.get("scale_embedding")):
        raise CheckpointError(f"{path}: this model scales embeddings or has another activation than OpenAI's Whisper")
    if is_hf:
        for name in (PREPROCESSOR_FILE, PROCESSOR_FILE):
            _check_preprocessor(folder / name, dims)
    generation_file = folder / GENERATION_CONFIG_FILE
    generation = read_json(generation_file) if generation_file.exists() else {}
    heads_file, pairs = path, config.get("alignment_heads")
    if "alignment_heads" in generation:
        heads_file, pairs = generation_file, generation["alignment_heads"]
    quantization = None
    if "quantization" in config:
        quantization = _read_quantization(path, config["quantization"])
        if dims.n_text_state % quantization.group_size:
            raise CheckpointError(
                f"{path}: the weights are quantized in groups of {quantization.group_size}, which do not divide the "
                f"model's width of {dims.n_text_state}"
            )
    return ModelConfig(
        dims,
        quantization,
        read_alignment_heads(heads_file, pairs, dims),
        read_tokens(generation_file, generation, "suppress_tokens"),
        read_tokens(generation_file, generation, "begin_suppress_tokens"),
        _read_audio_context(generation_file, generation),
        _read_language(generation),
    )


def _read_audio_context(path: Path, generation: Mapping[str, Any]) -> float:
    seconds = generation.get("audio_context", CHUNK_LENGTH)
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not is_context(seconds):
        raise CheckpointError(f"{path}: its audio_context is {seconds!r}")
    return float(seconds)


def _read_language(generation: Mapping[str, Any]) -> str | None:
    """Return the code of the language of "generate" in transformers, which has it as "te", "<|te|>" or "telugu"."""
    language = generation.get("language")
    try:
        return language_code(language.removeprefix("<|").removesuffix("|>")) if isinstance(language, str) else None
    except ValueError:
        return None  # transformers does not know it either


def is_ctranslate2_config(folder: Path) -> bool:
    """Return whether a folder's configuration is CTranslate2's, which has no dimensions.

    Raises:
        CheckpointError: the configuration is damaged.
    """
    return "suppress_ids" in read_json(folder / CONFIG_FILE)


def read_json(path: Path) -> dict[str, Any]:
    """Read the JSON object in a file.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: the file does not hold a JSON object.
    """
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: not a Whisper configuration ({error})") from None
    if not isinstance(config, dict):
        raise CheckpointError(f"{path}: not a Whisper configuration (it should be a JSON object)")
    return config


def read_dimensions(path: Path, config: dict[str, Any], is_hf: bool = False) -> ModelDimensions:
    """Read the dimensions in a configuration.

    Args:
        path: the file, to be named in errors.
        config: the numbers by name, and other keys, which are ignored.
        is_hf: whether the names are those of transformers.

    Raises:
        CheckpointError: a number is missing, or the numbers cannot be those of a Whisper model.
    """
    names = _HF_DIMENSIONS if is_hf else {}
    try:
        numbers = {field.name: _whole(config[names.get(field.name, field.name)]) for field in fields(ModelDimensions)}
    except KeyError as error:
        raise CheckpointError(
            f"{path}: {error.args[0]} is missing; the file should have the layout of mlx-community's Whisper "
            "repositories, of transformers or of OpenAI's .pt files"
        ) from None
    except (TypeError, ValueError, OverflowError) as error:
        raise CheckpointError(f"{path}: not a Whisper configuration ({error})") from None
    dims = ModelDimensions(**numbers)
    sides = ((dims.n_audio_state, dims.n_audio_head), (dims.n_text_state, dims.n_text_head))
    plausible = (
        min(numbers.values()) >= 1
        and max(numbers.values()) <= _LARGEST_DIMENSION
        and max(dims.n_audio_layer, dims.n_text_layer) <= _MOST_LAYERS
        and dims.n_audio_ctx * dims.n_audio_state <= _MOST_POSITION_NUMBERS
        and dims.n_audio_state == dims.n_text_state >= 4
        and dims.n_audio_state % 2 == 0
        and not any(width % heads for width, heads in sides)
    )
    if not plausible:
        raise CheckpointError(f"{path}: these dimensions are not those of a Whisper model")
    return dims


def _whole(number: Any) -> int:
    """Return a number as an integer. Raise ValueError or TypeError if it is none."""
    if isinstance(number, bool) or int(number) != number:
        raise ValueError(f"{number!r} is not a whole number")
    return int(number)


def derive_dimensions(path: Path, weights: Mapping[str, mx.array]) -> ModelDimensions:
    """Derive the dimensions of one of OpenAI's models, or of a smaller or distilled one, from its weights.

    The number of heads does not follow from the shapes, so it is known for OpenAI's widths alone.

    Args:
        path: the file, to be named in errors.
        weights: all weights by our names, in MLX's layout, and the encoder's positions.

    Raises:
        CheckpointError: the weights are not those of a Whisper model, or its width is another.
    """
    try:
        n_vocab, width = weights["decoder.token_embedding.weight"].shape
        _, _, n_mels = weights["encoder.conv1.weight"].shape
        n_audio_ctx, _ = weights[ENCODER_POSITIONS].shape
        n_text_ctx, _ = weights["decoder.positional_embedding"].shape
    except KeyError as error:
        raise CheckpointError(f"{path}: not a Whisper model, whose weights hold {error.args[0]}") from None
    except ValueError as error:  # the rank is another
        raise CheckpointError(f"{path}: not the weights of a Whisper model ({error})") from None
    if width not in {dims.n_text_state for dims in DIMENSIONS.values()}:
        raise CheckpointError(
            f"{path}: no dims, and OpenAI has no model of width {width}, so the number of heads is unknown; save it as "
            "OpenAI does, with dims and model_state_dict"
        )
    layers = {
        side: len({name.split(".")[2] for name in weights if name.startswith(f"{side}.blocks.")})
        for side in ("encoder", "decoder")
    }
    numbers = {
        "n_mels": n_mels,
        "n_audio_ctx": n_audio_ctx,
        "n_audio_state": width,
        "n_audio_head": width // _HEAD_WIDTH,
        "n_audio_layer": layers["encoder"],
        "n_vocab": n_vocab,
        "n_text_ctx": n_text_ctx,
        "n_text_state": width,
        "n_text_head": width // _HEAD_WIDTH,
        "n_text_layer": layers["decoder"],
    }
    return read_dimensions(path, numbers)


def _check_preprocessor(path: Path, dims: ModelDimensions) -> None:
    """Raise CheckpointError if the file exists and asks for other log-mels than the model takes.

    Mel filters in the file are ignored, because they follow from the numbers that are checked.
    """
    settings = read_json(path) if path.exists() else {}
    settings = settings.get("feature_extractor", settings)
    if not isinstance(settings, dict):
        raise CheckpointError(f"{path}: feature_extractor should be a JSON object; fix or remove this file")
    for name, value in (mel_settings(dims) | {"do_normalize": False}).items():
        if settings.get(name) not in (None, value):
            raise CheckpointError(
                f"{path}: {name} is {settings[name]}, but this model takes {value}; fix or remove this file"
            )


def _read_quantization(path: Path, settings: Any) -> Quantization:
    """Read the "quantization" of a configuration. Raise CheckpointError if it is of an unknown kind."""
    numbers = dict(settings) if isinstance(settings, dict) else {"settings": settings}
    mode = numbers.pop("mode", "affine")
    known = {field.name for field in fields(Quantization)}
    if mode == "affine" and numbers.keys() <= known and all(isinstance(number, int) for number in numbers.values()):
        with contextlib.suppress(ValueError):
            return Quantization(**numbers)
    raise CheckpointError(
        f"{path}: quantization should be a group_size and a number of bits that MLX knows, the same for all layers, "
        f"not {settings}"
    )


def read_alignment_heads(path: Path, pairs: Any, dims: ModelDimensions) -> AlignmentHeads | None:
    """Check the alignment heads that a file names.

    Args:
        path: the file, to be named in errors.
        pairs: a list of pairs of decoder layer and head, or None.
        dims: the model's dimensions.

    Returns:
        The pairs, or None if the model lacks such layers or heads: the first distil-whisper folders kept the heads of
        the models that they were distilled from.

    Raises:
        CheckpointError: `pairs` is something else.
    """
    if pairs is None:
        return None
    try:
        heads = tuple((_whole(layer), _whole(head)) for layer, head in pairs)
    except (TypeError, ValueError, OverflowError):
        raise CheckpointError(f"{path}: alignment_heads should be pairs of layer and head") from None
    fits = all(0 <= layer < dims.n_text_layer and 0 <= head < dims.n_text_head for layer, head in heads)
    return heads if heads and fits else None


def read_tokens(path: Path, config: dict[str, Any], key: str) -> tuple[int, ...] | None:
    """Read a list of tokens in a configuration. Return None if it is missing.

    Raises:
        CheckpointError: it is something else than a list of numbers.
    """
    tokens = config.get(key)
    if tokens is None:
        return None
    if not isinstance(tokens, list) or not all(isinstance(token, int) and token >= 0 for token in tokens):
        raise CheckpointError(f"{path}: {key} should be a list of token numbers; fix or remove it")
    return tuple(tokens)


def hf_dimensions(dims: ModelDimensions) -> dict[str, int]:
    """Return the dimensions by the names of transformers."""
    return {_HF_DIMENSIONS[name]: value for name, value in dims.to_dict().items()}


def mel_settings(dims: ModelDimensions) -> dict[str, int]:
    """Return the settings of the log-mel front end by the names of transformers."""
    return {
        "feature_size": dims.n_mels,
        "sampling_rate": SAMPLE_RATE,
        "n_fft": N_FFT,
        "hop_length": HOP_LENGTH,
    }
