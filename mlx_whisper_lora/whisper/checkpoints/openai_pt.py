"""OpenAI's `.pt` files, read without torch and without running what is pickled in them.

`torch.save` writes a zip archive: `data.pkl`, a pickle of the Python objects, in which each tensor is a call of a torch
function on a storage, and `data/0`, `data/1` ... with the numbers of the storages, not compressed. A pickle may name
any function of any module to be called. Here the few names that a checkpoint of tensors needs stand for functions of
ours, and any other name is refused. (https://docs.pytorch.org/docs/stable/notes/serialization.html)
"""

import io
import mmap
import pickle
import struct
import zipfile
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np

from mlx_whisper_lora.whisper.checkpoints.layout import from_openai, swap_kernel
from mlx_whisper_lora.whisper.errors import DAMAGED_FILE_ERRORS, CheckpointError, one_line

# Classes of storages, and the types in which NumPy reads them: it has no bfloat16.
STORAGES: dict[str, np.dtype] = {
    "FloatStorage": np.dtype("<f4"),
    "HalfStorage": np.dtype("<f2"),
    "BFloat16Storage": np.dtype("<u2"),
    "LongStorage": np.dtype("<i8"),
}
PYTORCH_BEFORE_1_6 = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."  # a pickled number that such files begin with
LOCAL_HEADER = struct.Struct("<26xHH")  # of a zip member; the lengths of name and extra field come last


@dataclass(frozen=True)
class Storage:
    """The numbers of one or several tensors: a stretch of the file, and their type by torch's name."""

    data: memoryview
    type_name: str


def read_pt(path: Path) -> tuple[dict[str, Any], dict[str, mx.array]]:
    """The dimensions and the weights, by our names and in MLX's layout, of an OpenAI checkpoint.

    The file is mapped into memory, and each tensor copied out of it once. Raises CheckpointError naming the file.
    """
    try:
        checkpoint = load_pickled(path)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
    except (pickle.UnpicklingError, *DAMAGED_FILE_ERRORS) as error:
        raise CheckpointError(f"{path}: not a PyTorch checkpoint, damaged or cut short ({one_line(error)})") from None
    dims = checkpoint.get("dims") if isinstance(checkpoint, dict) else None
    state = checkpoint.get("model_state_dict") if isinstance(checkpoint, dict) else None
    if not isinstance(dims, dict) or not isinstance(state, dict):
        raise CheckpointError(
            f"{path}: a PyTorch file, but not one of OpenAI's Whisper: it should hold dims and model_state_dict"
        )
    tensors = {str(name): array for name, array in state.items() if isinstance(array, mx.array)}
    return dims, {(ours := from_openai(name)): swap_kernel(ours, array) for name, array in tensors.items()}


def load_pickled(path: Path) -> Any:
    """What was given to `torch.save`, with arrays for tensors. Raises CheckpointError, and what damaged files raise."""
    with path.open("rb") as file:
        start = file.read(len(PYTORCH_BEFORE_1_6))
        if start == PYTORCH_BEFORE_1_6:
            raise CheckpointError("in the format of PyTorch before 1.6; load it with torch and save it again")
        with zipfile.ZipFile(file) as archive:
            (name,) = [name for name in archive.namelist() if name.endswith("/data.pkl")]
            folder = name.removesuffix("data.pkl")
            byte_order = folder + "byteorder"
            if byte_order in archive.namelist() and archive.read(stored(archive, byte_order)) != b"little":
                raise CheckpointError("its numbers are big-endian; save it again on a usual machine")
            pickled = archive.read(stored(archive, name))
            file_map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            return TensorUnpickler(pickled, archive, folder, memoryview(file_map)).load()


def stored(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    """Where a member of the archive is. Raises CheckpointError if it is compressed: a little file could hold a lot."""
    member = archive.getinfo(name)
    if member.compress_type != zipfile.ZIP_STORED:
        raise CheckpointError("it is compressed, which torch.save does not do; save it again")
    return member


# The unpickler in Python, not the one in C, which takes 8 GB for a damaged file of ten bytes (a large memo index).
class TensorUnpickler(pickle._Unpickler):
    """Unpickles containers, strings, numbers and tensors, and refuses everything else."""

    def __init__(self, pickled: bytes, archive: zipfile.ZipFile, folder: str, file: memoryview):
        super().__init__(io.BytesIO(pickled))
        self.archive, self.folder, self.file = archive, folder, file

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return self.tensor
        if module == "torch" and name in STORAGES:
            return name
        raise CheckpointError(f"it asks for {module}.{name}, which a checkpoint has no need of; nothing of it was run")

    def persistent_load(self, pid: Any) -> Storage:
        """The storage that ("storage", type, key, device, length) stands for."""
        kind, type_name, key, _, length = pid
        if kind != "storage":
            raise pickle.UnpicklingError(f"it refers to a {kind!r}")
        member = stored(self.archive, f"{self.folder}data/{key}")
        size = length * STORAGES[type_name].itemsize
        if size != member.file_size:
            raise ValueError(f"{size} bytes of numbers expected in {member.filename}, not {member.file_size}")
        start = member.header_offset + LOCAL_HEADER.size
        start += sum(LOCAL_HEADER.unpack_from(self.file, member.header_offset))
        return Storage(self.file[start : start + size], type_name)

    def tensor(self, storage: Storage, offset: int, shape: tuple, stride: tuple, *_: Any) -> mx.array:
        """torch._utils._rebuild_tensor_v2; offset and strides count numbers. NumPy checks them against the storage."""
        dtype = STORAGES[storage.type_name]
        size = dtype.itemsize
        if np.prod(shape, dtype=object) * size > len(storage.data):  # a stride of 0 would make much out of little
            raise ValueError(f"a tensor of shape {shape} in {len(storage.data)} bytes")
        strides = tuple(step * size for step in stride)
        array = mx.array(np.ndarray(shape, dtype, storage.data, offset * size, strides))
        return array.view(mx.bfloat16) if storage.type_name == "BFloat16Storage" else array
