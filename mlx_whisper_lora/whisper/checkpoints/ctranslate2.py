"""CTranslate2's Whisper folders, which faster-whisper runs: `model.bin`, `config.json` and a vocabulary.

`model.bin` is a list of named arrays (ctranslate2/specs/model_spec.py, binary version 6): the query, key and value of
self-attention are one fused layer, and so are the key and value of cross-attention. Weights in int8 or int16 have a
scale beside them: one for each output, or one for all. The weight is the integer divided by the scale.
"""

import mmap
import re
import struct
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import IO

import mlx.core as mx
import numpy as np
from mlx.utils import tree_flatten

from mlx_whisper_lora.whisper.atomic_files import atomic_write, output_folder
from mlx_whisper_lora.whisper.checkpoints.files import write_json
from mlx_whisper_lora.whisper.checkpoints.hf_export import preprocessor_config, token_roles
from mlx_whisper_lora.whisper.checkpoints.hf_tokenizer import tokenizer_files
from mlx_whisper_lora.whisper.checkpoints.layout import CONFIG_FILE, CTRANSLATE2_FILE, PREPROCESSOR_FILE, swap_kernel
from mlx_whisper_lora.whisper.errors import CheckpointError
from mlx_whisper_lora.whisper.model.alignment_heads import alignment_heads
from mlx_whisper_lora.whisper.model.whisper import Whisper

BINARY_VERSION = 6
SPEC = "WhisperSpec"
SPEC_REVISION = 3
# What CTranslate2's layers are told: GELU, layer norms before each layer, no ALiBi, no scaled embeddings.
_SETTINGS = {
    "decoder/activation": np.int8(3),
    "decoder/alibi": np.int8(0),
    "decoder/alibi_use_positive_positions": np.int8(0),
    "decoder/alignment_heads": np.int16(1),
    "decoder/alignment_layer": np.int16(-1),
    "decoder/pre_norm": np.int8(1),
    "decoder/scale_alibi": np.int8(0),
    "decoder/scale_embeddings": np.int8(0),
    "decoder/start_from_zero_embedding": np.int8(0),
}
_IGNORED_SETTINGS = {"decoder/alignment_heads", "decoder/alignment_layer"}  # of translation models
_OUTPUT = "decoder/projection"
# CTranslate2's numbers of types. NumPy has no bfloat16, so its bits are read as integers.
_TYPES: dict[int, np.dtype] = {
    0: np.dtype("<f4"),
    1: np.dtype("i1"),
    2: np.dtype("<i2"),
    3: np.dtype("<i4"),
    4: np.dtype("<f2"),
    5: np.dtype("<u2"),
}
_BFLOAT16 = 5

_INT8_MAX = np.float32(127)

# Parts of a block: CTranslate2's names and ours. Several of ours share a fused layer, in this order.
_ENCODER_PARTS = {
    "self_attention/layer_norm": ("attn_ln",),
    "self_attention/linear_0": ("attn.query", "attn.key", "attn.value"),
    "self_attention/linear_1": ("attn.out",),
    "ffn/layer_norm": ("mlp_ln",),
    "ffn/linear_0": ("mlp1",),
    "ffn/linear_1": ("mlp2",),
}
_DECODER_PARTS = _ENCODER_PARTS | {
    "attention/layer_norm": ("cross_attn_ln",),
    "attention/linear_0": ("cross_attn.query",),
    "attention/linear_1": ("cross_attn.key", "cross_attn.value"),
    "attention/linear_2": ("cross_attn.out",),
}
_ARRAYS = {"weight": "weight", "bias": "bias", "gamma": "weight", "beta": "bias"}
_OUTER = {
    "encoder/conv1": "encoder.conv1",
    "encoder/conv2": "encoder.conv2",
    "encoder/layer_norm": "encoder.ln_post",
    "decoder/layer_norm": "decoder.ln",
    "decoder/embeddings": "decoder.token_embedding",
}


@dataclass
class _Reader:
    """Reads numbers and names one after the other."""

    data: memoryview
    position: int = field(default=0)

    def number(self, kind: str) -> int:
        (value,) = struct.unpack_from("<" + kind, self.data, self.position)
        self.position += struct.calcsize(kind)
        return value

    def bytes(self, count: int) -> memoryview:
        if self.position + count > len(self.data):
            raise struct.error("the file is cut short")
        self.position += count
        return self.data[self.position - count : self.position]

    def name(self) -> str:
        return bytes(self.bytes(self.number("H"))).rstrip(b"\0").decode()

    def array(self) -> mx.array | np.ndarray:
        shape = tuple(self.number("I") for _ in range(self.number("B")))
        kind, size = self.number("B"), self.number("I")
        if kind not in _TYPES:
            raise ValueError(f"an array has the unknown type {kind}")
        numbers = np.frombuffer(self.bytes(size), dtype=_TYPES[kind]).reshape(shape)
        return mx.array(numbers).view(mx.bfloat16) if kind == _BFLOAT16 and shape else numbers


def read_ctranslate2(path: Path) -> tuple[dict[str, int], dict[str, mx.array]]:
    """Read a `model.bin`.

    Returns:
        The dimensions, by the names of `ModelDimensions`, and the weights by our names in MLX's layout. Weights in int8
        or int16 are float32.

    Raises:
        CheckpointError: the file is not a Whisper model of a known version, or it is damaged.
    """
    variables = _read_variables(path)
    try:
        _check_variables(variables)
        return _dimensions_of(variables), _weights_of(variables)
    except KeyError as error:
        raise CheckpointError(f"{path}: {error.args[0]} is missing; the file is damaged") from None
    except ValueError as error:  # a fused layer that cannot be divided, a shape of the wrong rank, a key with a bias
        raise CheckpointError(f"{path}: not the layers of a Whisper model ({error})") from None


def _read_variables(path: Path) -> dict[str, mx.array | np.ndarray]:
    """Read all arrays of a `model.bin` by CTranslate2's names.

    Raises:
        CheckpointError: the file is not a Whisper model of a known version, or it is damaged.
    """
    with path.open("rb") as file:
        try:
            reader = _Reader(memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)))
            version, spec, _ = reader.number("I"), reader.name(), reader.number("I")
            if version == BINARY_VERSION and spec == SPEC:
                return {reader.name(): reader.array() for _ in range(reader.number("I"))}
        except (struct.error, ValueError) as error:  # ValueError: wrong sizes, or a name that is not UTF-8
            raise CheckpointError(f"{path}: not a CTranslate2 model, damaged or cut short ({error})") from None
    raise CheckpointError(
        f"{path}: expected a CTranslate2 {SPEC} of version {BINARY_VERSION}, found {spec!r} of {version}"
    )


def _weights_of(variables: dict[str, mx.array | np.ndarray]) -> dict[str, mx.array]:
    """Return the weights of a Whisper by our names and in MLX's layout, from CTranslate2's arrays.

    Raises:
        KeyError: a scale or a layer is missing.
        ValueError: a shape is wrong, so that a fused layer cannot be divided, or a key has a bias, which Whisper's do
            not have.
    """
    weights: dict[str, mx.array] = {
        f"{side}.positional_embedding": mx.array(variables[f"{side}/position_encodings/encodings"])
        for side in ("encoder", "decoder")
    }
    for name, array in variables.items():
        layer, _, kind = name.rpartition("/")
        modules = _our_modules(layer)
        if kind not in _ARRAYS or not modules:
            continue
        if array.ndim == 0:
            raise ValueError(f"{name} is a single number")
        if array.dtype in (np.int8, np.int16):
            scale = np.asarray(variables[f"{layer}/weight_scale"], np.float32)
            if scale.size not in (1, len(array)) or not np.isfinite(scale).all() or not scale.all():
                raise ValueError(f"{layer}/weight_scale does not hold a number other than 0 for each output")
            array = np.asarray(array, np.float32) / scale.reshape(-1, *[1] * (array.ndim - 1))
        parts = mx.split(mx.array(array), len(modules), axis=0)
        for module, part in zip(modules, parts, strict=True):
            ours = f"{module}.{_ARRAYS[kind]}"
            if not ours.endswith(".key.bias"):
                weights[ours] = swap_kernel(ours, part)
            elif mx.any(part).item():
                raise ValueError(f"{name}: the key has a bias")
    return weights


def _check_variables(variables: dict[str, mx.array | np.ndarray]) -> None:
    """Raise ValueError if an array has no place in Whisper, or a setting of a layer is not Whisper's."""
    for name, array in variables.items():
        layer, _, kind = name.rpartition("/")
        if name in _SETTINGS:
            if array.ndim or (name not in _IGNORED_SETTINGS and array.item() != _SETTINGS[name]):
                raise ValueError(f"{name} is {array.tolist()}, and not {_SETTINGS[name]}")
        elif name == f"{_OUTPUT}/weight":
            if not mx.array_equal(mx.array(array), mx.array(variables["decoder/embeddings/weight"])).item():
                raise ValueError(f"{_OUTPUT} differs from the token embedding; in Whisper they are the same")
        elif name != f"{_OUTPUT}/weight_scale" and (kind not in (*_ARRAYS, "weight_scale") or not _our_modules(layer)):
            is_off = array.ndim == 0 and array.item() == 0
            if kind not in ("num_heads", "encodings") and not is_off:
                raise ValueError(f"{name} is not part of a Whisper model")


def _our_modules(layer: str) -> tuple[str, ...]:
    """Return our modules in a layer of CTranslate2: decoder/layer_0/attention/linear_1 is a fused key and value."""
    if layer in _OUTER:
        return (_OUTER[layer],)
    match = re.fullmatch(r"(encoder|decoder)/layer_(\d+)/(.+)", layer)
    if not match:
        return ()
    side, number, part = match.groups()
    parts = (_ENCODER_PARTS if side == "encoder" else _DECODER_PARTS).get(part, ())
    return tuple(f"{side}.blocks.{number}.{ours}" for ours in parts)


def _dimensions_of(variables: dict[str, mx.array | np.ndarray]) -> dict[str, int]:
    """Return the dimensions of the model that the arrays make, by the names of `ModelDimensions`.

    Raises:
        KeyError: an array is missing.
        ValueError: an array has another rank.
    """
    n_vocab, n_text_state = variables["decoder/embeddings/weight"].shape
    n_audio_state, n_mels, _ = variables["encoder/conv1/weight"].shape
    n_audio_ctx, _ = variables["encoder/position_encodings/encodings"].shape
    n_text_ctx, _ = variables["decoder/position_encodings/encodings"].shape
    layers = {
        side: {name.split("/")[1] for name in variables if name.startswith(f"{side}/layer_") and name.count("/") > 2}
        for side in ("encoder", "decoder")
    }
    return {
        "n_mels": n_mels,
        "n_audio_ctx": n_audio_ctx,
        "n_audio_state": n_audio_state,
        "n_audio_head": variables["encoder/num_heads"].item(),
        "n_audio_layer": len(layers["encoder"]),
        "n_vocab": n_vocab,
        "n_text_ctx": n_text_ctx,
        "n_text_state": n_text_state,
        "n_text_head": variables["decoder/num_heads"].item(),
        "n_text_layer": len(layers["decoder"]),
    }


def write_ctranslate2(model: Whisper, folder: str | PathLike, int8: bool = False) -> None:
    """Write a plain model as a folder that faster-whisper and CTranslate2 run, in the type of its weights.

    Args:
        model: a model with plain weights.
        folder: the folder. Files of the same names in it are replaced.
        int8: quantize the linear layers, the convolutions and the token embedding, as CTranslate2's own converter does.

    Raises:
        CheckpointError: the vocabulary is not Whisper's, so that there is no tokenizer for it.
        OSError: the folder cannot be written.
    """
    tokenizer = model.tokenizer()
    files = tokenizer_files(tokenizer)
    roles = token_roles(tokenizer)
    heads = alignment_heads(model)
    config = {
        "alignment_heads": [list(pair) for pair in heads],
        "lang_ids": list(tokenizer.all_language_tokens) if model.is_multilingual else [],
        "suppress_ids": roles["suppress_tokens"],
        "suppress_ids_begin": roles["begin_suppress_tokens"],
    }
    vocabulary = {token: i for i, token in files["vocab.json"].items()} | {
        token: name for name, token in files["added_tokens.json"].items()
    }
    with output_folder(folder, last=CONFIG_FILE) as path:
        write_json(path / "tokenizer.json", files["tokenizer.json"])
        write_json(path / PREPROCESSOR_FILE, preprocessor_config(model))
        write_json(path / "vocabulary.json", [vocabulary[i] for i in range(model.dims.n_vocab)])
        with atomic_write(path / CTRANSLATE2_FILE, "wb") as file:
            write_model_bin(file, model, int8)
        write_json(path / CONFIG_FILE, config)


def write_model_bin(file: IO[bytes], model: Whisper, int8: bool) -> None:
    """Write the `model.bin` of a plain model. `int8` quantizes its weights."""
    variables = _variables_of(model)
    _write_variables(file, _in_int8(variables) if int8 else variables)


def _variables_of(model: Whisper) -> dict[str, np.ndarray]:
    """Return the arrays of `model.bin` by name: the weights, fused, and the settings of CTranslate2's layers."""
    weights = {name: swap_kernel(name, array) for name, array in tree_flatten(model.parameters())}
    variables = {name: np.asarray(value) for name, value in _SETTINGS.items()}
    for side, heads in (("encoder", model.dims.n_audio_head), ("decoder", model.dims.n_text_head)):
        variables[f"{side}/num_heads"] = np.asarray(heads, np.int16)
    positions = model.encoder.positions.astype(model.dtype)
    embeddings = {"encoder": positions, "decoder": weights["decoder.positional_embedding"]}
    for side, array in embeddings.items():
        variables[f"{side}/position_encodings/encodings"] = np.array(array)
    for layer, module in _OUTER.items():
        variables |= _fused(layer, (module,), weights)
    for side, parts in (("encoder", _ENCODER_PARTS), ("decoder", _DECODER_PARTS)):
        for number in range(len(getattr(model, side).blocks)):
            for part, modules in parts.items():
                names = tuple(f"{side}.blocks.{number}.{module}" for module in modules)
                variables |= _fused(f"{side}/layer_{number}/{part}", names, weights)
    return variables


def _fused(layer: str, modules: tuple[str, ...], weights: dict[str, mx.array]) -> dict[str, np.ndarray]:
    """Return the arrays of a layer of CTranslate2, which holds one or several of our modules. Keys get a bias of 0."""
    first = weights[f"{modules[0]}.weight"]
    norm = first.ndim == 1
    arrays = {"gamma" if norm else "weight": np.concatenate([np.array(weights[f"{name}.weight"]) for name in modules])}
    if f"{modules[-1]}.bias" in weights:
        zeros = mx.zeros(first.shape[0], first.dtype)
        biases = [np.array(weights.get(f"{name}.bias", zeros)) for name in modules]
        arrays["beta" if norm else "bias"] = np.concatenate(biases)
    return {f"{layer}/{kind}": array for kind, array in arrays.items()}


def _in_int8(variables: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the arrays with each weight in int8, and the scale of each of its outputs in float32 beside it."""
    quantized = {}
    for name, array in variables.items():
        if name.endswith("/weight"):
            array, quantized[f"{name}_scale"] = _quantize_rows(array)
        quantized[name] = array
    return quantized


def _quantize_rows(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a weight (outputs, ...) in int8, and the scales (outputs,). The largest weight of an output is 127."""
    rows = weight.astype(np.float32).reshape(len(weight), -1)
    largest = np.abs(rows).max(axis=1)
    largest[largest == 0] = _INT8_MAX
    scales = _INT8_MAX / np.maximum(largest, _INT8_MAX / np.finfo(np.float32).max)  # not infinite
    return np.rint(rows * scales[:, None]).astype(np.int8).reshape(weight.shape), scales


def _write_variables(file: IO[bytes], variables: dict[str, np.ndarray]) -> None:
    numbers = {dtype: number for number, dtype in _TYPES.items()}
    file.write(struct.pack("<I", BINARY_VERSION) + _string(SPEC) + struct.pack("<II", SPEC_REVISION, len(variables)))
    for name, array in sorted(variables.items()):
        array = np.asarray(array)
        file.write(_string(name) + struct.pack(f"<B{array.ndim}I", array.ndim, *array.shape))
        file.write(struct.pack("<BI", numbers[array.dtype], array.nbytes) + array.tobytes())
    file.write(struct.pack("<I", 1) + _string("decoder/projection/weight") + _string("decoder/embeddings/weight"))


def _string(text: str) -> bytes:
    data = text.encode() + b"\0"
    return struct.pack("<H", len(data)) + data
