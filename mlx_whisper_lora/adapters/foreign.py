"""Say what a file is that was given for an adapter and is none of ours, and what to do with it."""

import codecs
import json
import struct
import zipfile
from pathlib import Path

from mlx_whisper_lora.whisper.errors import ZIP_ERRORS

_TRAIN = "train an adapter with mlx_whisper_lora.lora"
_PEFT = "a part of an adapter of PEFT; give the folder that holds its adapter_config.json and adapter_model.safetensors"
_MLX_LM = f"an adapter of mlx-lm or mlx-examples, which does not say what it was trained on; {_TRAIN}"
_KOHYA = f"a LoRA of an image model; {_TRAIN}"
_MODEL = "the weights of a model, not an adapter; give the model with --model"
_TORCH = "a file of PyTorch, not an adapter of this library; if it holds a model, give it with --model"
_PICKLE = f"pickled Python objects, which may run programs and are not read; {_TRAIN}"
_CONFIGURATION = "a configuration, not the adapter itself; give the .npz file that mlx_whisper_lora.lora wrote"
_UNKNOWN = "not an adapter of this library, which is an .npz file that mlx_whisper_lora.lora writes"
_RECORDING = "a recording, not an adapter"
_BEGINNINGS = {
    b"\x80": _PICKLE,
    b"\x93NUMPY": "a single NumPy array, not an adapter; give the .npz file that mlx_whisper_lora.lora wrote",
    b"GGUF": _MODEL,
    b"lmgg": _MODEL,  # of whisper.cpp
    b"\x06\x00\x00\x00\x0c\x00WhisperSpec": _MODEL,  # of CTranslate2
    b"version https://git-lfs": "a pointer of Git LFS in place of the file; fetch the file with `git lfs pull`",
    b"<": "a web page, not an adapter; download the file itself",
    b"{": _CONFIGURATION,
    b"[": _CONFIGURATION,
    b"\x1f\x8b": "compressed with gzip; decompress it first",
    b"RIFF": _RECORDING,
    b"fLaC": _RECORDING,
    b"OggS": _RECORDING,
    b"ID3": _RECORDING,
    b"\xff\xfb": _RECORDING,
}
_MOST_HEADER = 2**24  # bytes of a safetensors header that are looked at
_MOST_PICKLE = 2**24


def describe_foreign(path: Path) -> str | None:
    """Say what a file or folder is, and what to do with it. Return None if it may be an adapter.

    Raises:
        OSError: it cannot be read.
    """
    if path.is_dir():
        return _describe_folder(path)
    with path.open("rb") as file:
        beginning = file.read(4096)
    if beginning.startswith(b"PK"):
        return _describe_zip(path)
    if beginning[6:9] == b"\0\0{":
        return _describe_safetensors(path)
    if beginning.startswith(b"{") and b'"peft_type"' in beginning:
        return _PEFT
    if not beginning:
        return "an empty file (0 bytes); copy it again"
    if beginning[4:8] == b"ftyp":
        return _RECORDING
    text = beginning.removeprefix(codecs.BOM_UTF8).lstrip()
    return next((what for start, what in _BEGINNINGS.items() if text.startswith(start)), _UNKNOWN)


def _describe_folder(path: Path) -> str:
    if (path / "adapters.safetensors").exists():
        return _MLX_LM
    if (path / "config.json").exists():
        return "the folder of a model, not an adapter; give it with --model"
    files = sorted(file.name for file in path.glob("*.npz"))
    return "a folder, not an adapter file" + (f"; give a file in it, such as {path / files[0]}" if files else "")


def _describe_zip(path: Path) -> str | None:
    """Say what a zip archive is, unless it is an .npz file with a configuration."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            pickles = [name for name in names if name.endswith("data.pkl")]
            if pickles:
                with archive.open(pickles[0]) as file:
                    return _PEFT if b"lora_A" in file.read(_MOST_PICKLE) else _TORCH
    except ZIP_ERRORS:
        return None  # damaged, as the reader of adapters reports
    if "config.npy" in names:
        return None
    if not any(name.endswith(".npy") for name in names):
        return "a zip archive, not an adapter; unpack it, and give the .npz file in it"
    return _describe_names([name.removesuffix(".npy") for name in names])


def _describe_safetensors(path: Path) -> str | None:
    with path.open("rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        header = file.read(min(size, _MOST_HEADER))
    try:
        names = list(json.loads(header))
    except (ValueError, RecursionError):
        return "a damaged file, most likely of safetensors, and not an adapter of this library"
    return _describe_names(names) or f"a file of safetensors, not an adapter of this library; {_TRAIN}"


def _describe_names(names: list[str]) -> str | None:
    """Say what a file is by the names of its arrays."""
    for part, what in (
        ("lora_A", _PEFT),
        ("lora_magnitude_vector", _PEFT),
        ("base_model.model.", _PEFT),
        ("lora_a", _MLX_LM),
        ("lora_down", _KOHYA),
        ("conv1.weight", _MODEL),
        ("token_embedding", _MODEL),
        ("embed_tokens", _MODEL),
    ):
        if any(part in name for name in names):
            return what
    return None
