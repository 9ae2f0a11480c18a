"""Read files of `torch.save` without PyTorch, and without running any code that is pickled in them.

OpenAI's checkpoints (`.pt`) and older weights of transformers (`pytorch_model.bin`) are such files.

`torch.save` writes a zip archive. Its member `data.pkl` is a pickle of the Python objects, in which each tensor is a
call of a PyTorch function on a storage. `data/0`, `data/1` ... hold the numbers of the storages, not compressed. A
pickle may ask for a call of any function of any module. Here, the few names that a checkpoint needs stand for records
of the arguments, and any other name is refused. (https://docs.pytorch.org/docs/stable/notes/serialization.html)
"""

import io
import mmap
import pickle
import struct
import zipfile
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import mlx.core as mx
import numpy as np

from mlx_whisper_lora.whisper.errors import ZIP_ERRORS, CheckpointError, one_line

# The types of weights by PyTorch's classes of storages. NumPy has no bfloat16, so it reads the bits.
_STORAGE_TYPES: dict[str, np.dtype] = {
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "HalfStorage": np.dtype("<f2"),
    "BFloat16Storage": np.dtype("<u2"),
}
# Counters and masks that may be beside the weights. They are skipped.
_INTEGER_STORAGES = {"LongStorage", "IntStorage", "ShortStorage", "CharStorage", "ByteStorage", "BoolStorage"}
_MOST_SHARING = 4  # tensors of the same numbers. The output layer and the token embedding are two.
# A parameter is a tensor, and marks that training needs.
_PARAMETERS = {("torch._utils", "_rebuild_parameter"), ("torch._utils", "_rebuild_parameter_with_state")}
_PYTORCH_BEFORE_1_6 = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."  # a pickled number that such files begin with
_ZIP_MAGIC = b"PK\3\4"
_LOCAL_HEADER = struct.Struct("<26xHH")  # of a zip member; the lengths of name and extra field come last
# Raised by the unpickler on damaged bytes.
_PICKLE_ERRORS = (
    pickle.UnpicklingError,
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    TypeError,
    ValueError,
    struct.error,
)


class TorchCheckpoint(NamedTuple):
    """The contents of a file of `torch.save`."""

    dims: dict[str, Any] | None  # the model's dimensions, unchecked; None unless it is an OpenAI checkpoint
    weights: dict[str, mx.array]  # by their names in the file and in PyTorch's layout


def read_torch_zip(path: Path) -> TorchCheckpoint:
    """Read an OpenAI checkpoint, or a state dict alone.

    The file is mapped into memory, and each tensor is copied out of it once. float64 becomes float32. Tensors of
    integers are skipped.

    Raises:
        CheckpointError: the file is damaged or is not a checkpoint.
    """
    with path.open("rb") as file:
        try:
            return _read_checkpoint(file)
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {error}") from None


def is_torch_zip(path: Path) -> bool:
    """Return whether a file is a zip archive, as `torch.save` writes it. whisper.cpp's files are not."""
    with path.open("rb") as file:
        return file.read(len(_ZIP_MAGIC)) == _ZIP_MAGIC


def _read_checkpoint(file: BinaryIO) -> TorchCheckpoint:
    """Read an open file. The messages of errors do not name it."""
    if file.read(len(_PYTORCH_BEFORE_1_6)) == _PYTORCH_BEFORE_1_6:
        raise CheckpointError("this is the format of PyTorch before 1.6; load the file with PyTorch and save it again")
    archive = _Archive(file)
    if archive.has("byteorder") and archive.read("byteorder") != b"little":
        raise CheckpointError("its numbers are big-endian; load and save it with PyTorch on a little-endian machine")
    checkpoint = _unpickle(archive.read("data.pkl"))
    # A pickle can put another `get` into an OrderedDict, but not into the class dict.
    dims = dict.get(checkpoint, "dims") if isinstance(checkpoint, dict) else None
    state = dict.get(checkpoint, "model_state_dict", checkpoint) if isinstance(checkpoint, dict) else None
    weights = {}
    for name, value in dict.items(state) if isinstance(state, dict) else ():
        if isinstance(name, str) and isinstance(value, _TensorCall):
            array = _build_tensor(archive, value)
            if array is not None:
                weights[name] = array
    if not weights:
        raise CheckpointError(
            "this is a PyTorch file without weights: it should hold a state dict, or OpenAI's dims and model_state_dict"
        )
    return TorchCheckpoint(dims if isinstance(dims, dict) else None, weights)


def _damaged(reason: str) -> CheckpointError:
    return CheckpointError(f"not a PyTorch checkpoint, damaged or cut short ({reason})")


class _Archive:
    """A zip archive that `torch.save` wrote. Names of members are given without their common folder."""

    def __init__(self, file: BinaryIO):
        try:
            self._zip = zipfile.ZipFile(file)
            self._bytes = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except ZIP_ERRORS as error:
            raise _damaged(one_line(error)) from None
        self._names = set(self._zip.namelist())
        pickles = [name for name in self._names if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise _damaged(f"it should hold one data.pkl, and it holds {len(pickles)}")
        self._folder = pickles[0].removesuffix("data.pkl")
        self._bytes_left = _MOST_SHARING * len(self._bytes)

    def has(self, name: str) -> bool:
        return self._folder + name in self._names

    def read(self, name: str) -> bytes:
        """Return the bytes of a member, whose checksum is verified."""
        member = self._member(name)
        try:
            return self._zip.read(member)
        except ZIP_ERRORS as error:
            raise _damaged(one_line(error)) from None

    def view(self, name: str, size: int) -> memoryview:
        """Return a view of a member of `size` bytes, without copying it."""
        member = self._member(name)
        if size != member.file_size:
            raise _damaged(f"{size} bytes of numbers expected in {member.filename}, found {member.file_size}")
        start = member.header_offset + _LOCAL_HEADER.size
        if not _LOCAL_HEADER.size <= start <= len(self._bytes):
            raise _damaged(f"{member.filename} lies outside the file")
        start += sum(_LOCAL_HEADER.unpack_from(self._bytes, member.header_offset))
        return self._bytes[start : start + size]

    def spend(self, size: int) -> None:
        """Count the bytes of a tensor. Raise CheckpointError if many tensors share a few bytes of the file."""
        self._bytes_left -= size
        if self._bytes_left < 0:
            raise _damaged("its tensors take more memory than the file can hold")

    def _member(self, name: str) -> zipfile.ZipInfo:
        if not self.has(name):
            raise _damaged(f"it holds no {self._folder}{name}")
        member = self._zip.getinfo(self._folder + name)
        if member.compress_type != zipfile.ZIP_STORED:  # a small file could hold a lot
            raise CheckpointError("it is compressed, which torch.save does not do; load it with PyTorch and save it")
        return member


@dataclass(frozen=True)
class _Storage:
    """A reference to the numbers of one or more tensors, unchecked: ("storage", type, key, device, length)."""

    id: Any


@dataclass(frozen=True)
class _TensorCall:
    """A call of torch._utils._rebuild_tensor_v2, unchecked: storage, offset, shape, strides, and more."""

    arguments: tuple


def _unpickle(pickled: bytes) -> Any:
    """Return the object that was given to `torch.save`, with a _TensorCall for each tensor."""
    unpickler = _RecordingUnpickler(io.BytesIO(pickled))
    try:
        return unpickler.load()
    except CheckpointError:
        raise
    except _PICKLE_ERRORS as error:
        raise _damaged(one_line(error)) from None


# The unpickler in Python, because the one in C takes 8 GB for a damaged file of ten bytes (a large memo index).
class _RecordingUnpickler(pickle._Unpickler):
    """Unpickle containers, strings and numbers, record storages and tensors, and refuse everything else.

    Damaged bytes reach these methods with any arguments, so they check nothing and compute nothing.
    """

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return self._record_tensor
        if (module, name) in _PARAMETERS:
            return self._unwrap_parameter
        if module == "torch" and (name in _STORAGE_TYPES or name in _INTEGER_STORAGES):
            return name
        raise CheckpointError(f"it asks for {module}.{name}, which no checkpoint needs; nothing was run")

    def persistent_load(self, pid: Any) -> _Storage:
        return _Storage(pid)

    def _record_tensor(self, *arguments: Any) -> _TensorCall:
        return _TensorCall(arguments)

    def _unwrap_parameter(self, tensor: Any = None, *_: Any) -> Any:
        return tensor


def _build_tensor(archive: _Archive, call: _TensorCall) -> mx.array | None:
    """Build the tensor that a call of torch._utils._rebuild_tensor_v2 would. Return None if it holds integers.

    Offset and strides count numbers.
    """
    match call.arguments:
        case (
            _Storage(id=("storage", str(type_name), str(key), _, int(length))),
            int(offset),
            tuple(shape),
            tuple(strides),
            *_,
        ) if type_name in _STORAGE_TYPES and all(isinstance(number, int) for number in (*shape, *strides)):
            pass
        case (_Storage(id=("storage", str(type_name), *_)), *_) if type_name in _INTEGER_STORAGES:
            return None
        case _:
            raise _damaged("a tensor is not built from a storage, an offset, a shape and strides")
    dtype = _STORAGE_TYPES[type_name]
    data = archive.view(f"data/{key}", length * dtype.itemsize)
    count = np.prod(shape, dtype=object)
    if count * dtype.itemsize > len(data):  # with strides of 0, few bytes would make many numbers
        raise _damaged(f"a tensor of shape {shape} in {len(data)} bytes")
    archive.spend(count * dtype.itemsize)
    step = dtype.itemsize
    try:  # NumPy checks offset and strides against the data
        array = mx.array(np.ndarray(shape, dtype, data, offset * step, tuple(stride * step for stride in strides)))
    except (ValueError, OverflowError) as error:
        raise _damaged(one_line(error)) from None
    return array.view(mx.bfloat16) if type_name == "BFloat16Storage" else array
