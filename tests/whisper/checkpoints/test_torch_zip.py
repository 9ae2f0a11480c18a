"""Reading files of torch.save, without running anything that is pickled in them."""

import io
import json
import os
import pickle
import shutil
import struct
import zipfile
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest

from mlx_whisper_lora.whisper.checkpoints import torch_zip
from mlx_whisper_lora.whisper.checkpoints.hf_names import to_hf
from mlx_whisper_lora.whisper.checkpoints.layout import from_openai
from mlx_whisper_lora.whisper.checkpoints.load import load_model
from mlx_whisper_lora.whisper.checkpoints.torch_zip import read_torch_zip
from mlx_whisper_lora.whisper.errors import CheckpointError
from tests.support.pt_writer import pickled, pickled_tensor, write_archive, write_pt
from tests.support.references import CHECKPOINTS
from tools.references.seeded import parameter_shapes

DIMS = json.loads((CHECKPOINTS / "reference.json").read_text())["dims"]


def test_dimensions_and_weights_are_those_that_pytorch_saved():
    dims, weights = read_torch_zip(CHECKPOINTS / "float32.pt")
    assert dims == DIMS
    assert weights["decoder.token_embedding.weight"].shape == (40, 8)
    assert weights["encoder.conv1.weight"].shape == (8, 4, 3)  # as torch has it
    assert {array.dtype for array in weights.values()} == {mx.float32}


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_half_precision_is_read_bit_equal(name):
    dtype = getattr(mx, name)
    _, exact = read_torch_zip(CHECKPOINTS / "float32.pt")
    _, half = read_torch_zip(CHECKPOINTS / f"{name}.pt")
    assert half.keys() == exact.keys()
    assert all(half[key].dtype == dtype and mx.array_equal(half[key], exact[key].astype(dtype)) for key in exact)


def test_views_and_transposed_tensors_are_read_bit_equal():
    _, expected = read_torch_zip(CHECKPOINTS / "float32.pt")
    _, found = read_torch_zip(CHECKPOINTS / "views.pt")
    assert all(mx.array_equal(found[name], array) for name, array in expected.items())


def test_parameters_in_float64_are_read_and_integers_are_skipped():
    _, expected = read_torch_zip(CHECKPOINTS / "float32.pt")
    _, found = read_torch_zip(CHECKPOINTS / "parameters.pt")
    assert found.keys() == expected.keys()
    assert all(found[name].dtype == mx.float32 and mx.array_equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize("rename", [str, lambda name: to_hf(from_openai(name))])
def test_a_state_dict_alone_has_the_dimensions_of_its_shapes(rename, tmp_path):
    dims = DIMS | {"n_mels": 80, "n_audio_state": 384, "n_audio_head": 6, "n_text_state": 384, "n_text_head": 6}
    shapes = parameter_shapes(dims) | {"encoder.positional_embedding": (dims["n_audio_ctx"], 384)}
    random = np.random.default_rng(0)
    state = {rename(name): random.standard_normal(shape, np.float32) for name, shape in shapes.items()}
    write_pt(tmp_path / "x.pt", state)
    write_pt(tmp_path / "y.pt", {"dims": dims, "model_state_dict": state})
    found, expected = load_model(tmp_path / "x.pt", mx.float32), load_model(tmp_path / "y.pt", mx.float32)
    assert found.dims.to_dict() == dims
    mel, tokens = mx.ones((1, 20, 80)), mx.array([[1, 5, 39]])
    assert mx.array_equal(found(mel, tokens), expected(mel, tokens))


def test_a_state_dict_alone_of_another_width_is_refused(tmp_path):
    """The number of heads could be wrong."""
    _, weights = read_torch_zip(CHECKPOINTS / "float32.pt")
    write_pt(tmp_path / "x.pt", {name: np.array(array) for name, array in weights.items()})
    with pytest.raises(CheckpointError, match="no dims, and OpenAI has no model of width 8, so the number of heads is"):
        load_model(tmp_path / "x.pt")


def test_a_pytorch_model_is_known_from_a_model_of_whisper_cpp(tmp_path):
    shutil.copy(CHECKPOINTS / "float32.pt", tmp_path / "x.bin")
    assert load_model(tmp_path / "x.bin").dims.to_dict() == DIMS


class Call:
    """An object that unpickles to the result of a call."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("function", [open, os.system, os.mkdir, eval, getattr])
def test_a_pickle_that_would_run_something_is_refused(function, protocol, tmp_path):
    target = tmp_path / "made"
    arguments = {
        open: (str(target), "w"),
        os.system: (f"touch {target}",),
        os.mkdir: (str(target),),
        eval: (f"open({str(target)!r}, 'w')",),
        getattr: ("text", "upper"),
    }
    write_archive(tmp_path / "x.pt", pickle.dumps({"dims": DIMS, "x": Call(function, *arguments[function])}, protocol))
    with pytest.raises(CheckpointError) as error:
        load_model(tmp_path / "x.pt")
    # open is io.open, os.system may be posix.system, getattr builtins.getattr or, in protocol 0, __builtin__.getattr
    assert str(error.value).startswith(f"{tmp_path / 'x.pt'}: it asks for ")
    assert function.__name__ in str(error.value) and "nothing was run" in str(error.value)
    assert os.listdir(tmp_path) == ["x.pt"]


def test_an_attribute_of_an_allowed_name_is_refused(tmp_path):
    for name in (b"ccollections\nOrderedDict.__init__\n.", b"ctorch._utils\n_rebuild_tensor_v2.__globals__\n."):
        write_archive(tmp_path / "x.pt", b"\x80\x04" + name)
        with pytest.raises(CheckpointError, match="it asks for"):
            read_torch_zip(tmp_path / "x.pt")


def cut(path: Path, size: int) -> None:
    path.write_bytes((CHECKPOINTS / "float32.pt").read_bytes()[:size])


def tensor(shape: tuple, stride: tuple) -> bytes:
    """Pickle a checkpoint with one tensor on a storage of ten numbers."""
    array = np.arange(10, dtype=np.float32)
    state = b"}(" + pickled("x", []) + pickled_tensor(array, 0, shape, stride) + b"u"
    return b"\x80\x02}(" + pickled("dims", []) + b"}" + pickled("model_state_dict", []) + state + b"u."


def compressed(path: Path) -> None:
    write_archive(path, tensor((10,), (1,)), [bytes(40)], compression=zipfile.ZIP_DEFLATED)


EMBEDDING = "decoder.token_embedding.weight"
ONE = {"decoder.ln.bias": np.ones(8, np.float32)}
BAD = {
    "empty": (lambda path: path.write_bytes(b""), "not a PyTorch checkpoint, damaged or cut short"),
    "text": (lambda path: path.write_text("weights"), "not a PyTorch checkpoint, damaged or cut short"),
    "cut short": (lambda path: cut(path, 9000), "not a PyTorch checkpoint, damaged or cut short"),
    "a byte short": (lambda path: cut(path, -1), "not a PyTorch checkpoint, damaged or cut short"),
    "another zip": (lambda path: zipfile.ZipFile(path, "w").close(), "not a PyTorch checkpoint"),
    "not a pickle": (lambda path: write_archive(path, b"hello"), "not a PyTorch checkpoint"),
    "half a pickle": (lambda path: write_archive(path, b"\x80\x02}("), "not a PyTorch checkpoint"),
    "old format": (lambda path: path.write_bytes((CHECKPOINTS / "old_format.pt").read_bytes()), "PyTorch before 1.6"),
    "a list": (lambda path: write_archive(path, b"\x80\x02]."), "a PyTorch file without weights: it should hold"),
    "no weights": (lambda path: write_pt(path, {"dims": DIMS, "model_state_dict": {}}), "a PyTorch file without weig"),
    "integers": (lambda path: write_pt(path, {"x": np.ones(1, int)}), "a PyTorch file without weights"),
    "dims lack one": (lambda path: write_pt(path, {"dims": {}, "model_state_dict": ONE}), "n_mels is missing"),
    "one weight": (lambda path: write_pt(path, {"dims": DIMS, "model_state_dict": ONE}), "the weights lack encoder"),
    "another model": (lambda path: write_pt(path, ONE), "not a Whisper model, whose weights hold decoder.token_embe"),
    "another rank": (lambda path: write_pt(path, {EMBEDDING: ONE["decoder.ln.bias"]}), "not the weights of a Whisper"),
    "a layer twice": (lambda path: write_pt(path, ONE | {"model.decoder.layer_norm.bias": np.ones(8)}), "stored twice"),
    "other types": (lambda path: write_archive(path, b"\x80\x02ctorch\nComplexFloatStorage\n."), "which no checkpoi"),
    "compressed": (compressed, "it is compressed, which torch.save does not do"),
    "no storage": (lambda path: write_archive(path, tensor((10,), (1,))), "not a PyTorch checkpoint"),
    "short storage": (
        lambda path: write_archive(path, tensor((10,), (1,)), [bytes(39)]),
        "40 bytes of numbers exp",
    ),
    "too long": (lambda path: write_archive(path, tensor((11,), (1,)), [bytes(40)]), "a tensor of shape"),
    "too wide": (lambda path: write_archive(path, tensor((2, 5), (9, 1)), [bytes(40)]), "strides"),
    "backwards": (lambda path: write_archive(path, tensor((10,), (-1,)), [bytes(40)]), "strides"),
    "much of nothing": (lambda path: write_archive(path, tensor((10**5,) * 3, (0,) * 3), [bytes(40)]), "a tensor of"),
    "large memo": (
        lambda path: write_archive(path, b"\x80\x02K\x01r" + struct.pack("<I", 2**31) + b"."),
        "should hold",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_reported_in_one_line(case, tmp_path):
    spoil, message = BAD[case]
    spoil(tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match=message) as error:
        load_model(tmp_path / "x.pt")
    assert str(error.value).startswith(f"{tmp_path / 'x.pt'}: ")


def test_a_bug_in_our_reader_is_not_reported_as_a_damaged_file(monkeypatch):
    """TypeError is also what the unpickler raises on damaged bytes."""

    def bug(*arguments):
        raise TypeError("a bug")

    monkeypatch.setattr(torch_zip, "_build_tensor", bug)
    with pytest.raises(TypeError, match="a bug"):
        load_model(CHECKPOINTS / "float32.pt")


def test_flipped_bits_never_leak_another_exception(tmp_path):
    whole = (CHECKPOINTS / "float16.pt").read_bytes()
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        start = archive.getinfo("float16/data.pkl").header_offset
        length = archive.getinfo("float16/data.pkl").file_size
    random = np.random.default_rng(0)
    refused = 0
    for position in random.integers(start, start + length, 200):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << random.integers(8)
        (tmp_path / "x.pt").write_bytes(damaged)
        try:
            read_torch_zip(tmp_path / "x.pt")
        except CheckpointError:
            refused += 1
    assert refused > 100  # the archive has a checksum of its pickle


def test_write_pt_writes_files_as_pytorch_does(tmp_path):
    _, expected = read_torch_zip(CHECKPOINTS / "float32.pt")
    state = {name: np.array(array) for name, array in expected.items()}
    write_pt(tmp_path / "x.pt", {"dims": DIMS, "model_state_dict": state})
    dims, found = read_torch_zip(tmp_path / "x.pt")
    assert dims == DIMS and all(mx.array_equal(found[name], array) for name, array in expected.items())


def test_many_tensors_that_share_the_bytes_of_one_are_refused(tmp_path):
    numbers, arrays = np.ones((1000, 8), np.float32), []
    shared = pickled_tensor(numbers, 0)
    items = b"".join(pickled(f"layer{i}", arrays) + shared for i in range(20))
    write_archive(tmp_path / "small.pt", b"\x80\x02}(" + items + b"u.", [numbers.tobytes()])
    with pytest.raises(CheckpointError, match="its tensors take more memory than the file can hold"):
        read_torch_zip(tmp_path / "small.pt")
