"""Read and write LoRA and DoRA adapters of PEFT: a folder with `adapter_config.json` and `adapter_model.safetensors`.

What PEFT has no place for, such as the language, is in the metadata of the second file, if it was written here.

PEFT stores A as (rank, inputs) and B as (outputs, rank), under transformers' names of the layers. It adapts any layers,
and each may have its own rank and scale. Ours have one rank and one scale: smaller matrices are padded with zeros, and
another scale goes into B. That computes the same. Only DoRA's layers have a vector of magnitudes.
"""

import hashlib
import json
import re
from collections import defaultdict
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np

from mlx_whisper_lora.adapters.adapter_file import Adapter, AdapterConfig, Base
from mlx_whisper_lora.adapters.classifier import check_transcribes
from mlx_whisper_lora.adapters.errors import AdapterError
from mlx_whisper_lora.adapters.lora import LoRAConfig
from mlx_whisper_lora.adapters.methods import METHODS
from mlx_whisper_lora.adapters.peft_config import CONFIG_FILE, PeftConfig, read_peft_config
from mlx_whisper_lora.adapters.targets import TARGETS
from mlx_whisper_lora.whisper.atomic_files import output_folder
from mlx_whisper_lora.whisper.audio.constants import CHUNK_LENGTH
from mlx_whisper_lora.whisper.checkpoints.files import write_json, write_weights
from mlx_whisper_lora.whisper.checkpoints.hf_names import from_hf, to_hf
from mlx_whisper_lora.whisper.checkpoints.hub import hub_repository, original_repository
from mlx_whisper_lora.whisper.checkpoints.weight_files import evaluate, read_arrays, read_metadata
from mlx_whisper_lora.whisper.errors import CheckpointError, one_line
from mlx_whisper_lora.whisper.option import OptionError

WEIGHT_FILES = ("adapter_model.safetensors", "adapter_model.bin")
PEFT_FILES = (CONFIG_FILE, *WEIGHT_FILES)
_PREFIX = "base_model.model."
_ARRAY = re.compile(
    r"((?:encoder|decoder)\.blocks\.\d{1,4})\.(.+)\.lora_(?:([AB])(?:\.default)?\.weight"
    r"|(magnitude_vector)(?:\.default)?(?:\.weight)?)"
)
_PARTS = {"A": "lora_a", "B": "lora_b", "magnitude_vector": "magnitude"}
_NAMES = {"lora_a": "lora_A.weight", "lora_b": "lora_B.weight", "magnitude": "lora_magnitude_vector"}
_METHODS = ("lora", "dora")  # by whether there are magnitudes
_CONFIG_KEY, _CLIPS_KEY = "mlx_whisper_lora", "mlx_whisper_lora_clips"  # in the metadata


def is_peft(path: Path) -> bool:
    """Return whether a path is a folder of PEFT. mlx-lm has a file called adapter_config.json too."""
    if not path.is_dir() or (path / "adapters.safetensors").exists():
        return False
    return any((path / name).exists() for name in PEFT_FILES)


def peft_files(folder: Path) -> list[Path]:
    """Return the files in a folder of PEFT that make an adapter. A checkpoint of a run has others beside them."""
    return [path for name in PEFT_FILES if (path := folder / name).is_file()]


def read_peft(folder: Path) -> Adapter:
    """Read a LoRA or DoRA adapter of PEFT.

    It knows its base by name alone, and not its language. transformers trains on full windows.

    Raises:
        AdapterError: a file is missing or damaged, or the adapter is not one of Whisper's blocks.
    """
    settings = read_peft_config(folder)
    path = next((folder / name for name in WEIGHT_FILES if (folder / name).is_file()), None)
    if path is None:
        raise AdapterError(f"{folder}: an adapter of PEFT without its {WEIGHT_FILES[0]}; copy that file too")
    layers = _read_layers(path, settings.dora)
    rank = max(matrices["lora_a"].shape[0] for matrices in layers.values())
    ours = _our_settings(path, layers, rank, settings)  # which bounds the rank
    arrays: dict[str, np.ndarray] = {}
    for layer, matrices in layers.items():
        a, b = _checked(path, layer, matrices, settings)
        factor = settings.scale_of(to_hf(layer)) / settings.scale
        arrays[f"{layer}.lora_a"] = _padded(a.T, (a.shape[1], rank))
        arrays[f"{layer}.lora_b"] = _padded(b.T if factor == 1 else b.T * np.float32(factor), (rank, b.shape[0]))
        if settings.dora:
            arrays[f"{layer}.magnitude"] = matrices["magnitude"]
    config = _read_metadata(path, settings.dora) or AdapterConfig(
        settings=ours,
        language=None,
        task="transcribe",
        audio_context=float(CHUNK_LENGTH),
        base=Base(settings.base, None, None, hub_repository(settings.base) if settings.base else None),
        run=hashlib.sha256(path.read_bytes()).hexdigest()[:16],
    )
    if (config.settings.rank, config.settings.factor) != (rank, settings.scale):
        config = replace(config, settings=ours)  # somebody edited the other file
    return Adapter(folder, config, arrays, is_partial=True)


def write_peft(adapter: Adapter, folder: str | PathLike) -> None:
    """Write a LoRA or DoRA adapter as a folder of PEFT, atomically.

    Raises:
        AdapterError: PEFT has no form for the adapter.
        OSError: the folder cannot be written.
    """
    config = adapter.config
    check_transcribes(adapter.path, config.classifier)
    if config.method not in _METHODS:
        raise AdapterError(
            f"{adapter.path}: its method is {config.method}, and PEFT has a form for LoRA and DoRA alone"
        )
    if config.new_language:
        raise AdapterError(
            f"{adapter.path}: its new language {config.new_language.code} has a token of its own, which PEFT cannot "
            "hold; fuse the adapter, and write the model for transformers: fuse --export hf"
        )
    weights, layers = {}, []
    for name, array in adapter.arrays.items():
        layer, part = name.rsplit(".", 1)
        weights[f"{_PREFIX}{to_hf(layer)}.{_NAMES[part]}"] = mx.array(np.ascontiguousarray(array.T, np.float32))
        layers.append(to_hf(layer))
    metadata = _metadata(config) if config.base.fingerprint else {}
    with output_folder(folder, last=CONFIG_FILE) as path:
        write_weights(path / WEIGHT_FILES[0], weights, "pt", **metadata)
        write_json(path / CONFIG_FILE, _peft_settings(config, sorted(set(layers))))


def _peft_settings(config: AdapterConfig, layers: list[str]) -> dict[str, Any]:
    """Return the contents of adapter_config.json. Its layers have full names, so that PEFT adapts no others."""
    base = config.base.repository or config.base.name
    name, _, revision = base.partition("@") if config.base.repository else (base, "", "")
    return {
        "peft_type": "LORA",
        "base_model_name_or_path": original_repository(name) or None,
        "revision": revision or None,
        "r": config.settings.rank,
        "lora_alpha": config.settings.factor * config.settings.rank,
        "lora_dropout": config.settings.dropout,
        "target_modules": layers,
        "use_dora": config.method == "dora",
        "bias": "none",
        "inference_mode": True,
    }


def _metadata(config: AdapterConfig) -> dict[str, str]:
    clips = np.array(sorted(config.clips), "<u8").tobytes().hex()
    return {_CONFIG_KEY: json.dumps(config.to_json()), _CLIPS_KEY: clips}


def _read_metadata(path: Path, dora: bool) -> AdapterConfig | None:
    """Return the configuration that `write_peft` stored, or None if PEFT wrote the file."""
    metadata = read_metadata(path) if path.suffix == ".safetensors" else {}
    if _CONFIG_KEY not in metadata:
        return None
    try:
        clips = np.frombuffer(bytes.fromhex(metadata[_CLIPS_KEY]), "<u8")
        config = AdapterConfig.from_json(json.loads(metadata[_CONFIG_KEY]), clips)
        if config.method != _METHODS[dora] or config.new_language:
            raise ValueError(f"it is not that of a {_METHODS[dora]} adapter")
        return config
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise AdapterError(f"{path}: its metadata is not what this library reads ({one_line(error)})") from None


def _read_layers(path: Path, dora: bool) -> dict[str, dict[str, np.ndarray]]:
    """Return the arrays of each layer, by our path of the layer and our name of the array, in float32."""
    layers: defaultdict[str, dict[str, np.ndarray]] = defaultdict(dict)
    kind, needed = ("DoRA", "A, B and magnitudes") if dora else ("LoRA", "A and B")
    try:
        stored = read_arrays(path)
        evaluate(path, stored)
    except CheckpointError as error:
        raise AdapterError(str(error)) from None
    for name, array in sorted(stored.items()):
        match = _ARRAY.fullmatch(from_hf(name.removeprefix(_PREFIX)))
        if not match or match[2] not in TARGETS or (match[4] and not dora):
            raise AdapterError(f"{path}: {name} is not a {kind} array of a linear layer in Whisper's blocks")
        layer, part = f"{match[1]}.{match[2]}", _PARTS[match[3] or match[4]]
        if part in layers[layer]:
            raise AdapterError(f"{path}: {name} is stored twice, under two names")
        layers[layer][part] = np.array(array.astype(mx.float32))
    if not layers:
        raise AdapterError(f"{path}: it holds no {kind} matrix")
    for layer, matrices in layers.items():
        if len(matrices) < (3 if dora else 2):
            raise AdapterError(f"{path}: {to_hf(layer)} needs {needed}, and lacks one of them; the file is damaged")
    return dict(layers)


def _checked(
    path: Path, layer: str, matrices: dict[str, np.ndarray], settings: PeftConfig
) -> tuple[np.ndarray, np.ndarray]:
    """Return A (rank, inputs) and B (outputs, rank) of a layer. Raise AdapterError if they are not of its rank."""
    a, b, rank = matrices["lora_a"], matrices["lora_b"], settings.rank_of(to_hf(layer))
    if a.ndim != 2 or b.ndim != 2 or a.shape[0] != rank or b.shape[1] != rank:
        raise AdapterError(
            f"{path}: the matrices of {to_hf(layer)} have the shapes {a.shape} and {b.shape}, but {CONFIG_FILE} gives "
            f"them rank {rank}"
        )
    if not all(np.isfinite(matrix).all() for matrix in matrices.values()):
        raise AdapterError(f"{path}: the matrices of {to_hf(layer)} hold numbers that are not finite")
    return a, b


def _padded(matrix: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return a matrix with zeros at its ends."""
    return np.pad(matrix, [(0, size - given) for size, given in zip(shape, matrix.shape, strict=True)])


def _our_settings(path: Path, layers: dict[str, dict], rank: int, settings: PeftConfig) -> LoRAConfig:
    """Return settings that name all of the layers, and perhaps more."""
    sides = {layer.split(".")[0] for layer in layers}
    targets = {layer.split(".", 3)[3] for layer in layers}
    try:
        return METHODS[_METHODS[settings.dora]].Config(
            rank=rank,
            scale=settings.scale,
            dropout=settings.dropout,
            targets=tuple(target for target in TARGETS if target in targets),
            encoder_layers=None if "encoder" in sides else 0,
            decoder_layers=None if "decoder" in sides else 0,
        )
    except OptionError as error:
        raise AdapterError(f"{path}: {error}") from None
