"""The adapter file: one `.npz` that says of itself what it is and which base it belongs to.

Two arrays a layer, named by module path (`decoder.blocks.3.attn.query.lora_a` and `.lora_b`), and under `config` the
settings as JSON in an array of bytes. It is read without pickle.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
from mlx.utils import tree_flatten

from mlx_whisper_lora.adapters.inject import (
    AdapterError,
    LoRAConfig,
    check_plain,
    lora_modules,
    replace_modules,
    target_paths,
)
from mlx_whisper_lora.adapters.lora import LoRALinear
from mlx_whisper_lora.version import __version__
from mlx_whisper_lora.whisper.atomic_files import atomic_write
from mlx_whisper_lora.whisper.errors import NPZ_ERRORS, one_line
from mlx_whisper_lora.whisper.model.quantization import weight_shape
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.text.languages import LANGUAGES
from mlx_whisper_lora.whisper.text.tokenizer import TASKS

CONFIG_KEY = "config"
SAMPLES_PER_ARRAY = 1024
SMALLEST_NORMAL = 2.0**-14  # of float16; devices differ in what they make of smaller numbers


@dataclass(frozen=True)
class Base:
    """The model that an adapter belongs to: the name it was loaded by, its dimensions, a fingerprint of its weights."""

    name: str
    dimensions: dict[str, int]
    fingerprint: str

    @staticmethod
    def of(model: Whisper, name: str) -> "Base":
        return Base(name, model.dims.to_dict(), fingerprint(model))


@dataclass(frozen=True)
class AdapterConfig:
    """All that is known of an adapter besides its arrays. audio_context: the seconds of sound that the encoder saw in
    training, 0 if as many as the clips had."""

    lora: LoRAConfig
    language: str | None
    task: str
    audio_context: float
    base: Base

    def to_json(self) -> dict:
        return {
            "method": "lora",
            **asdict(self.lora),
            "language": self.language,
            "task": self.task,
            "audio_context": self.audio_context,
            "base": asdict(self.base),
            "library_version": __version__,
        }

    @staticmethod
    def from_json(config: dict) -> "AdapterConfig":
        """Raises KeyError, TypeError, ValueError or OverflowError when the JSON is not an adapter's configuration."""
        if config["method"] != "lora":
            raise ValueError(f"its method is {config['method']!r}, and this version knows 'lora'")
        lora = LoRAConfig(
            int(config["rank"]), float(config["scale"]), float(config["dropout"]), int(config["layers"]),
            tuple(config["targets"]),
        )  # fmt: skip
        language, task, base = config["language"], config["task"], config["base"]
        if language not in (None, *LANGUAGES) or task not in TASKS:
            raise ValueError(f"its language is {language!r} and its task {task!r}")
        base = Base(str(base["name"]), dict(base["dimensions"]), str(base["fingerprint"]))
        return AdapterConfig(lora, language, task, float(config["audio_context"]), base)


def fingerprint(model: Whisper) -> str:
    """A hash of evenly spaced samples of every weight, in float16, so that the same checkpoint loaded in float16 and in
    float32, or from another format, has one fingerprint; a quantised one has its own. Raises AdapterError when the
    model has adapters already."""
    check_plain(model)
    digest = hashlib.sha256()
    for name, array in sorted(tree_flatten(model.parameters())):
        flat = array.reshape(-1)
        part = flat[:: max(1, flat.size // SAMPLES_PER_ARRAY)]
        if mx.issubdtype(part.dtype, mx.floating):
            sample = np.array(part.astype(mx.float32)).astype(np.float16)
            sample[np.abs(sample) < SMALLEST_NORMAL] = 0
        else:  # quantised weights, several packed into each integer
            sample = np.array(part)
        digest.update(name.encode() + sample.tobytes())
    return digest.hexdigest()[:16]


def save_adapter(path: str | PathLike, model: Whisper, config: AdapterConfig) -> None:
    """Write the model's LoRA arrays and their configuration. Raises OSError, and then `path` is as it was."""
    arrays: dict[str, Any] = {CONFIG_KEY: np.frombuffer(json.dumps(config.to_json()).encode(), dtype=np.uint8)}
    for name, module in lora_modules(model).items():
        arrays[f"{name}.lora_a"] = np.array(module.lora_a.astype(mx.float32))
        arrays[f"{name}.lora_b"] = np.array(module.lora_b.astype(mx.float32))
    with atomic_write(path, "wb") as file:
        np.savez(file, **arrays)


def read_adapter(path: str | PathLike) -> tuple[AdapterConfig, dict[str, np.ndarray]]:
    """The configuration and the arrays of an adapter file. Raises AdapterError naming the file."""
    path = Path(path)
    if not path.is_file():
        raise AdapterError(f"{path}: no such adapter file")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except NPZ_ERRORS as error:
        raise AdapterError(f"{path}: not an adapter file, damaged or cut short ({one_line(error)})") from None
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):  # NumPy gives what does not begin as an array as bytes
            raise AdapterError(f"{path}: not an adapter file, or damaged ({name} is no array)")
    try:
        config = AdapterConfig.from_json(json.loads(arrays.pop(CONFIG_KEY).tobytes()))
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else one_line(error)
        raise AdapterError(f"{path}: an .npz file, but not an adapter of this library ({reason})") from None
    return config, arrays


def read_adapter_config(path: str | PathLike) -> AdapterConfig:
    """The configuration of an adapter file. Raises AdapterError naming the file."""
    return read_adapter(path)[0]


def load_adapter(model: Whisper, path: str | PathLike, base_name: str) -> AdapterConfig:
    """Put the adapter of a file into the plain `model`, which was loaded by the name `base_name`.

    Raises AdapterError when the file cannot be read, or belongs to another base; then the model is as it was.
    """
    config, arrays = read_adapter(path)
    check_base(path, config.base, Base.of(model, base_name))
    modules = dict(model.named_modules())
    adapted = {}
    for name in target_paths(model, config.lora.layers, config.lora.targets):
        linear = modules[name]
        output_dims, input_dims = weight_shape(linear)
        shapes = {"lora_a": (input_dims, config.lora.rank), "lora_b": (config.lora.rank, output_dims)}
        for part, shape in shapes.items():
            array = arrays.get(f"{name}.{part}")
            if array is None or array.shape != shape or array.dtype.kind != "f" or not np.isfinite(array).all():
                raise AdapterError(
                    f"{path}: {name}.{part} should be finite numbers of shape {shape}; the file is damaged"
                )
        a, b = (mx.array(arrays[f"{name}.{part}"].astype(np.float32)) for part in shapes)
        adapted[name] = LoRALinear(linear, a, b, config.lora.scale, config.lora.dropout)
    replace_modules(model, adapted)
    return config


def check_base(path: str | PathLike, wanted: Base, given: Base) -> None:
    """Raise AdapterError, naming both, unless the model given is the one that the adapter was trained on."""
    if wanted.dimensions != given.dimensions:
        different = [key for key, value in wanted.dimensions.items() if given.dimensions.get(key) != value]
        key = different[0] if different else "n_mels"
        raise AdapterError(
            f"{path}: this adapter was trained on {wanted.name} ({key} {wanted.dimensions.get(key)}) "
            f"and does not fit {given.name} ({key} {given.dimensions.get(key)})"
        )
    if wanted.fingerprint != given.fingerprint:
        raise AdapterError(
            f"{path}: this adapter was trained on {wanted.name} (weights {wanted.fingerprint}), and {given.name} has "
            f"the same dimensions but other weights ({given.fingerprint})"
        )
