"""What a model folder's `config.json` says, in the layout of MLX or of Hugging Face's transformers."""

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from mlx_whisper_lora.whisper.audio.constants import HOP_LENGTH, N_FFT, SAMPLE_RATE
from mlx_whisper_lora.whisper.checkpoints.layout import CONFIG_FILE, GENERATION_CONFIG_FILE, PREPROCESSOR_FILE
from mlx_whisper_lora.whisper.errors import CheckpointError
from mlx_whisper_lora.whisper.model.quantization import Quantization
from mlx_whisper_lora.whisper.model.whisper import AlignmentHeads, ModelDimensions

# Our names of the dimensions and transformers'; its encoder and decoder are equally wide.
HF_DIMENSIONS = {
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
# Far above every Whisper; a damaged number should not fill the memory before the weights are even looked at.
MOST_LAYERS, LARGEST_DIMENSION, MOST_POSITIONS = 256, 2**20, 2**24


@dataclass(frozen=True)
class Config:
    """dims: the model's dimensions; is_hf: the folder is in transformers' layout; quantization: None of a plain model;
    alignment_heads: None where the folder does not say."""

    dims: ModelDimensions
    is_hf: bool
    quantization: Quantization | None
    alignment_heads: AlignmentHeads | None


def read_model_config(folder: Path) -> Config:
    """The configuration of a model folder; keys of no concern are left aside. Raises CheckpointError."""
    path = folder / CONFIG_FILE
    try:
        config = read_json(path)
    except FileNotFoundError:
        raise CheckpointError(f"{folder}: no {CONFIG_FILE}, so this is not a model folder") from None
    model_type = config.get("model_type", "whisper")
    if model_type != "whisper":
        raise CheckpointError(f"{path}: this is a {model_type} model, not Whisper")
    is_hf = "d_model" in config
    dims = read_dimensions(path, config, HF_DIMENSIONS if is_hf else {})
    if is_hf and (config.get("activation_function", "gelu") != "gelu" or config.get("scale_embedding")):
        raise CheckpointError(f"{path}: another activation or scaled embeddings, which OpenAI's Whisper does not have")
    if is_hf:
        check_preprocessor(folder / PREPROCESSOR_FILE, dims)
    heads_file = path
    if is_hf and (folder / GENERATION_CONFIG_FILE).exists():
        heads_file = folder / GENERATION_CONFIG_FILE
    pairs = read_json(heads_file).get("alignment_heads")
    quantization = None
    if "quantization" in config:
        quantization = read_quantization(path, config["quantization"])
        if dims.n_text_state % quantization.group_size:
            raise CheckpointError(
                f"{path}: quantised in groups of {quantization.group_size}, which do not divide its width of "
                f"{dims.n_text_state}"
            )
    return Config(dims, is_hf, quantization, read_alignment_heads(heads_file, pairs, dims))


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file. Raises FileNotFoundError, or CheckpointError for a damaged one."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: not a Whisper configuration ({error})") from None
    if not isinstance(config, dict):
        raise CheckpointError(f"{path}: not a Whisper configuration (it should be a JSON object)")
    return config


def read_dimensions(path: Path, config: dict[str, Any], names: dict[str, str]) -> ModelDimensions:
    """The dimensions in `config`, which call them by `names` or, where that has none, as we do. `path` is named when
    CheckpointError is raised."""
    try:
        numbers = {field.name: int(config[names.get(field.name, field.name)]) for field in fields(ModelDimensions)}
    except KeyError as error:
        raise CheckpointError(
            f"{path}: {error.args[0]} is missing; the layouts of mlx-community's Whisper repositories, of transformers "
            "and of OpenAI's .pt files are read"
        ) from None
    except (TypeError, ValueError, OverflowError) as error:
        raise CheckpointError(f"{path}: not a Whisper configuration ({error})") from None
    dims = ModelDimensions(**numbers)
    sides = ((dims.n_audio_state, dims.n_audio_head), (dims.n_text_state, dims.n_text_head))
    plausible = (
        min(numbers.values()) >= 1
        and max(numbers.values()) <= LARGEST_DIMENSION
        and max(dims.n_audio_layer, dims.n_text_layer) <= MOST_LAYERS
        and dims.n_audio_ctx * dims.n_audio_state <= MOST_POSITIONS
        and dims.n_audio_state == dims.n_text_state >= 4
        and dims.n_audio_state % 2 == 0
        and not any(width % heads for width, heads in sides)
    )
    if not plausible:
        raise CheckpointError(f"{path}: these dimensions are not those of a Whisper model")
    return dims


def check_preprocessor(path: Path, dims: ModelDimensions) -> None:
    """Raise CheckpointError where a folder's preprocessor_config.json, if it has one, asks for other log-mels than the
    model of `dims` takes. Mel filters in it are left aside: they follow from these numbers."""
    settings = read_json(path) if path.exists() else {}
    for name, value in mel_settings(dims).items():
        if settings.get(name, value) != value:
            raise CheckpointError(
                f"{path}: {name} is {settings[name]}, and this model takes {value}; mend or remove this file"
            )


def read_quantization(path: Path, settings: Any) -> Quantization:
    """How a config's "quantization" says that layers are stored. Raises CheckpointError for a way not known here."""
    try:
        settings = dict(settings)
        whole = all(isinstance(number, int) for name, number in settings.items() if name != "mode")
        if settings.pop("mode", "affine") == "affine" and whole:
            return Quantization(**settings)
    except (TypeError, ValueError):
        pass
    raise CheckpointError(
        f"{path}: quantization should be a group_size and a number of bits that MLX knows for all layers alike, "
        f"not {settings}"
    )


def read_alignment_heads(path: Path, pairs: Any, dims: ModelDimensions) -> AlignmentHeads | None:
    """Pairs of decoder layer and head, from a list of them or an array of shape (n, 2).

    None for pairs that this model has no layers for: the first distil-whisper folders kept those of their teachers.
    Raises CheckpointError naming `path` for what is no list of pairs.
    """
    if pairs is None:
        return None
    try:
        heads = tuple((int(layer), int(head)) for layer, head in pairs)
    except (TypeError, ValueError, OverflowError):
        raise CheckpointError(f"{path}: alignment_heads should be pairs of layer and head") from None
    fits = all(0 <= layer < dims.n_text_layer and 0 <= head < dims.n_text_head for layer, head in heads)
    return heads if heads and fits else None


def hf_dimensions(dims: ModelDimensions) -> dict[str, int]:
    """The dimensions by transformers' names."""
    return {HF_DIMENSIONS[name]: value for name, value in dims.to_dict().items()}


def mel_settings(dims: ModelDimensions) -> dict[str, int]:
    """How sound becomes log-mels, by transformers' names."""
    return {
        "feature_size": dims.n_mels,
        "sampling_rate": SAMPLE_RATE,
        "n_fft": N_FFT,
        "hop_length": HOP_LENGTH,
    }
