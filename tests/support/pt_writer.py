"""A writer of `.pt` files for tests without torch: like torch.save, a pickle in a zip archive beside the numbers."""

import struct
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mlx.utils import tree_flatten

from mlx_whisper_lora.whisper.checkpoints.layout import ENCODER_POSITIONS, swap_kernel, to_openai
from mlx_whisper_lora.whisper.model.whisper import Whisper

STORAGES = {
    np.dtype(np.float16): "HalfStorage",
    np.dtype(np.float32): "FloatStorage",
    np.dtype(np.float64): "DoubleStorage",
    np.dtype(np.int64): "LongStorage",
}


def write_openai_checkpoint(path: Path, model: Whisper) -> None:
    """Write a model as OpenAI publishes it."""
    weights = dict(tree_flatten(model.parameters())) | {ENCODER_POSITIONS: model.encoder.positions}
    state = {to_openai(name): np.ascontiguousarray(swap_kernel(name, np.array(weights[name]))) for name in weights}
    write_pt(path, {"dims": model.dims.to_dict(), "model_state_dict": state})


def write_pt(path: Path, value: Any) -> None:
    """Write a `.pt` file of nested dicts with text as keys, tuples, texts, integers and arrays."""
    arrays: list[np.ndarray] = []
    write_archive(path, b"\x80\x02" + pickled(value, arrays) + b".", [array.tobytes() for array in arrays])


def write_archive(path: Path, pickle: bytes, storages: Sequence[bytes] = (), **kwargs) -> None:
    """Write the zip archive of a `.pt` file; `kwargs` go to `zipfile.ZipFile`."""
    with zipfile.ZipFile(path, "w", **kwargs) as archive:
        archive.writestr("archive/data.pkl", pickle)
        for i, data in enumerate(storages):
            archive.writestr(f"archive/data/{i}", data)


def pickled(value: Any, arrays: list[np.ndarray]) -> bytes:
    """Return opcodes of pickle's protocol 2 that leave `value` on the stack."""
    match value:
        case dict():
            items = b"".join(pickled(key, arrays) + pickled(item, arrays) for key, item in value.items())
            return b"}(" + items + b"u"
        case tuple():
            return b"(" + b"".join(pickled(item, arrays) for item in value) + b"t"
        case str():
            text = value.encode()
            return b"X" + struct.pack("<I", len(text)) + text
        case bool():
            return b"\x88" if value else b"\x89"
        case int():
            return b"J" + struct.pack("<i", value)
        case np.ndarray():
            arrays.append(value)
            return pickled_tensor(value, len(arrays) - 1)
    raise TypeError(f"{type(value)} cannot be written to a .pt file here")


def pickled_tensor(array: np.ndarray, key: int, shape: tuple | None = None, stride: tuple | None = None) -> bytes:
    """Return opcodes that call torch's function to make a tensor of storage `key`.

    `shape` and `stride` may differ from the array's.
    """
    place = (str(key), "cpu", array.size)
    storage = b"(" + pickled("storage", []) + b"ctorch\n" + STORAGES[array.dtype].encode() + b"\n"
    storage += b"".join(pickled(part, []) for part in place) + b"tQ"
    steps = tuple(step // array.itemsize for step in array.strides)
    shape, stride = array.shape if shape is None else shape, steps if stride is None else stride
    layout = b"".join(pickled(part, []) for part in (0, shape, stride, False))
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + layout + b"tR"
