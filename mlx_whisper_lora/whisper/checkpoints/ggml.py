"""whisper.cpp's model files, ggml-*.bin: dimensions, mel filters, vocabulary and weights in one file.

The layout is that of whisper.cpp's `models/convert-pt-to-ggml.py` and of ggml's block types. Weights have OpenAI's
names and PyTorch's layout. In a quantized tensor, 32 neighbors share a float16 scale:

    q8_0: scale, 32 signed bytes                                        value = scale * byte
    q5_0: scale, 32 high bits, 16 bytes with the low four bits of two   value = scale * (number - 16)
    q4_0: scale, 16 bytes with four bits of two                         value = scale * (number - 8)
"""

import mmap
import struct
from os import PathLike
from pathlib import Path
from typing import IO

import mlx.core as mx
import numpy as np
from mlx.utils import tree_flatten

from mlx_whisper_lora.whisper.atomic_files import atomic_write, output_folder
from mlx_whisper_lora.whisper.audio.constants import N_FFT
from mlx_whisper_lora.whisper.audio.log_mel import mel_filters
from mlx_whisper_lora.whisper.checkpoints.layout import (
    ENCODER_POSITIONS,
    GGML_FILE,
    from_openai,
    swap_kernel,
    to_openai,
)
from mlx_whisper_lora.whisper.errors import CheckpointError
from mlx_whisper_lora.whisper.model.whisper import Whisper

MAGIC = 0x67676D6C  # "ggml"
# The dimensions in the order of the file; the number of the weights' type follows.
HEADER = (
    "n_vocab", "n_audio_ctx", "n_audio_state", "n_audio_head", "n_audio_layer", "n_text_ctx", "n_text_state",
    "n_text_head", "n_text_layer", "n_mels",
)  # fmt: skip
F32, F16, Q4_0, Q5_0, Q8_0 = 0, 1, 2, 6, 8
BLOCK = 32  # weights that share a scale
BLOCK_BYTES = {Q4_0: 18, Q5_0: 22, Q8_0: 34}
MOST_DIMENSIONS = 4
_MOST_MELS = 1024


def read_ggml(path: Path) -> tuple[dict[str, int], dict[str, mx.array]]:
    """Read a whisper.cpp model.

    Returns:
        The dimensions, by the names of `ModelDimensions`, and the weights by our names in MLX's layout. Quantized
        weights are float32.

    Raises:
        CheckpointError: the file is not a whisper.cpp model, or it is damaged.
    """
    with path.open("rb") as file:
        try:
            data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
            (magic, *numbers) = struct.unpack_from(f"<I{len(HEADER)}i", data)
            if magic != MAGIC:
                raise ValueError("it does not start with the letters lmgg")
            dims = dict(zip(HEADER, numbers, strict=True))
            position = _skip_vocabulary(data, _skip_mel_filters(data, 4 * (len(HEADER) + 2)))
            weights = {}
            while position < len(data):
                name, array, position = _tensor(data, position)
                ours = from_openai(name)
                weights[ours] = swap_kernel(ours, mx.array(array))
        except (struct.error, ValueError) as error:  # ValueError: wrong sizes or types, or a name that is not UTF-8
            raise CheckpointError(f"{path}: not a whisper.cpp model, damaged or cut short ({error})") from None
    return dims, weights


def _skip_mel_filters(data: memoryview, position: int) -> int:
    """Return the position behind the mel filters. Raise ValueError if they are not Whisper's."""
    shape = struct.unpack_from("<2i", data, position)
    if not 1 <= shape[0] <= _MOST_MELS or shape[1] != N_FFT // 2 + 1:
        raise ValueError(f"mel filters of shape {shape}")
    end = _checked(position + 8 + 4 * shape[0] * shape[1], position, data)
    filters = np.frombuffer(data[position + 8 : end], "<f4").reshape(shape)
    if not np.allclose(filters, mel_filters(shape[0]), rtol=0, atol=1e-5):
        raise ValueError("its mel filters are not Whisper's")
    return end


def _skip_vocabulary(data: memoryview, position: int) -> int:
    (count,) = struct.unpack_from("<i", data, position)
    position += 4
    for _ in range(count):
        (size,) = struct.unpack_from("<I", data, position)
        position = _checked(position + 4 + size, position, data)
    return position


def _checked(position: int, before: int, data: memoryview) -> int:
    if not before < position <= len(data):
        raise ValueError("a length is wrong")
    return position


def _tensor(data: memoryview, position: int) -> tuple[str, np.ndarray, int]:
    """Read the tensor at `position`. Return its name, its numbers, and the position behind it."""
    n_dims, name_size, kind = struct.unpack_from("<3i", data, position)
    if not 1 <= n_dims <= MOST_DIMENSIONS:
        raise ValueError(f"a tensor of {n_dims} dimensions")
    position += 12
    shape = struct.unpack_from(f"<{n_dims}i", data, position)[::-1]
    if min(shape) < 1:
        raise ValueError(f"a tensor of shape {shape}")
    position += 4 * n_dims
    name = bytes(data[position : position + name_size]).decode()
    position = _checked(position + name_size, position, data)
    count = int(np.prod(shape, dtype=object))
    size = _size(kind, count)
    end = _checked(position + size, position, data)
    array = _dequantize(kind, data[position:end]).reshape(shape)
    if array.ndim == 2 and array.shape[1] == 1:  # whisper.cpp stores the bias of a convolution as a column
        array = array[:, 0]
    return name, array, end


def _size(kind: int, count: int) -> int:
    if kind in (F32, F16):
        return count * (4 if kind == F32 else 2)
    if kind not in BLOCK_BYTES or count % BLOCK:
        raise ValueError(f"weights of the unknown type {kind}; f32, f16, q8_0, q5_0 and q4_0 are known")
    return count // BLOCK * BLOCK_BYTES[kind]


def _dequantize(kind: int, data: memoryview) -> np.ndarray:
    if kind in (F32, F16):
        return np.frombuffer(data, "<f4" if kind == F32 else "<f2")
    blocks = np.frombuffer(data, np.uint8).reshape(-1, BLOCK_BYTES[kind])
    scales = blocks[:, :2].copy().view("<f2").astype(np.float32)
    if not np.isfinite(scales).all():
        raise ValueError("a scale is NaN or infinite")
    if kind == Q8_0:
        return scales * blocks[:, 2:].view(np.int8)
    pairs = blocks[:, -BLOCK // 2 :]
    numbers = np.concatenate([pairs & 15, pairs >> 4], axis=1)  # first all low halves, then all high ones
    if kind == Q4_0:
        return scales * (numbers.astype(np.int8) - 8)
    high_bits = np.unpackbits(blocks[:, 2:6], axis=1, bitorder="little")
    return scales * ((numbers | high_bits << 4).astype(np.int8) - 16)


def write_ggml(model: Whisper, folder: str | PathLike) -> None:
    """Write a plain model as `ggml-model.bin` in a folder, in the type of its weights. whisper.cpp runs float16.

    Matrices and kernels are float16 or float32; biases, norms and positions are float32, as whisper.cpp wants them.

    Raises:
        CheckpointError: the model has a new language.
        OSError: the file cannot be written.
    """
    if code := model.vocabulary.new_language:
        raise CheckpointError(
            f"{folder}: a file of whisper.cpp cannot hold the new language {code!r}, because whisper.cpp takes the "
            "number of languages, and so the ids of timestamps, from the size of the vocabulary"
        )
    kind = F32 if model.dtype == mx.float32 else F16
    dims = model.dims.to_dict()
    weights = {**dict(tree_flatten(model.parameters())), ENCODER_POSITIONS: model.encoder.positions}
    with output_folder(folder, last=GGML_FILE) as path, atomic_write(path / GGML_FILE, "wb") as file:
        file.write(struct.pack(f"<I{len(HEADER)}ii", MAGIC, *(dims[name] for name in HEADER), kind))
        filters = mel_filters(dims["n_mels"])
        file.write(struct.pack("<2i", dims["n_mels"], N_FFT // 2 + 1) + filters.astype("<f4").tobytes())
        _write_vocabulary(file, model)
        for name, array in weights.items():
            _write_tensor(file, to_openai(name), np.array(swap_kernel(name, array).astype(mx.float32)), kind)


def _write_vocabulary(file: IO[bytes], model: Whisper) -> None:
    encoding = model.tokenizer().encoding
    tokens = encoding.token_byte_values()  # sorted as bytes
    tokens = sorted(tokens, key=encoding.encode_single_token)
    file.write(struct.pack("<i", len(tokens)))
    for token in tokens:
        file.write(struct.pack("<I", len(token)) + token)


def _write_tensor(file: IO[bytes], name: str, array: np.ndarray, kind: int) -> None:
    if ".conv" in name and array.ndim == 1:
        array = array[:, None]
    if array.ndim < 2 or array.shape[1] == 1 or name.endswith("positional_embedding"):
        kind = F32
    encoded = name.encode()
    file.write(struct.pack(f"<3i{array.ndim}i", array.ndim, len(encoded), kind, *array.shape[::-1]) + encoded)
    file.write(array.astype("<f4" if kind == F32 else "<f2").tobytes())
