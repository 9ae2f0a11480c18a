"""Models for faster-whisper (CTranslate2) and whisper.cpp (ggml), written and read."""

import json
import struct
from dataclasses import replace

import mlx.core as mx
import numpy as np
import pytest
from mlx.utils import tree_flatten

from mlx_whisper_lora import convert
from mlx_whisper_lora.whisper.checkpoints.ctranslate2 import (
    _quantize_rows,
    _variables_of,
    _write_variables,
    write_ctranslate2,
)
from mlx_whisper_lora.whisper.checkpoints.ggml import Q4_0, Q5_0, Q8_0, _dequantize, read_ggml, write_ggml
from mlx_whisper_lora.whisper.checkpoints.load import load_model
from mlx_whisper_lora.whisper.errors import CheckpointError
from mlx_whisper_lora.whisper.model.whisper import Whisper
from tests.support.models import SMALL, small_model

FORMATS = {"ct2": ("model.bin", ""), "ggml": ("ggml-model.bin", "ggml-model.bin")}  # the file, and the path to load


def half(model: Whisper) -> Whisper:
    model.set_dtype(mx.float16)
    return model


def assert_equal_weights(one: Whisper, other: Whisper) -> None:
    theirs = dict(tree_flatten(other.parameters()))
    for name, array in tree_flatten(one.parameters()):
        assert mx.array_equal(array.astype(mx.float32), theirs[name].astype(mx.float32)), name


@pytest.mark.parametrize("export", FORMATS)
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_a_converted_model_loads_bit_equal(export, dtype, model_folder, tmp_path, run_main):
    arguments = ("--model", model_folder, "--export", export, "--dtype", dtype, "--save-path", tmp_path / "out")
    assert run_main(convert, *arguments).code == 0
    loaded = load_model(tmp_path / "out" / FORMATS[export][1], mx.float32)
    expected = load_model(model_folder, mx.float32)
    if dtype == "float16":
        expected = half(expected)
        # whisper.cpp keeps biases, norms and positions in float32, but our model had them in float16.
    assert loaded.dims == expected.dims
    assert_equal_weights(loaded, expected)


def test_alignment_heads_are_kept_by_ctranslate2(tmp_path):
    model = small_model()
    model.alignment_heads = ((1, 0), (1, 1))
    write_ctranslate2(model, tmp_path)
    assert load_model(tmp_path).alignment_heads == ((1, 0), (1, 1))


def test_ctranslate2_gets_the_vocabulary_and_the_tokens_to_suppress(tmp_path):
    write_ctranslate2(small_model(), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["suppress_ids_begin"] == [220, 50257] and config["lang_ids"][0] == 50259
    vocabulary = json.loads((tmp_path / "vocabulary.json").read_text())
    assert (len(vocabulary), vocabulary[0], vocabulary[50258]) == (51865, "!", "<|startoftranscript|>")


def test_int8_weights_are_within_half_a_step(model_folder, tmp_path, run_main):
    arguments = ("--model", model_folder, "--export", "ct2", "--quantize", "--q-bits", "8", "--dtype", "float32")
    assert run_main(convert, *arguments, "--save-path", tmp_path / "out").code == 0
    assert (tmp_path / "out" / "model.bin").stat().st_size < 5e6  # 14 MB in float32
    found = dict(tree_flatten(load_model(tmp_path / "out", mx.float32).parameters()))
    for name, array in tree_flatten(load_model(model_folder, mx.float32).parameters()):
        if array.ndim == 1 or name == "decoder.positional_embedding":
            assert mx.array_equal(found[name], array), name
        else:
            error = mx.abs(found[name] - array).flatten(1).max(axis=1) / mx.abs(array).flatten(1).max(axis=1)
            assert 0 < error.max().item() < 0.5 / 127 + 1e-6, name


# tests/parity/test_export.py compares with the file that CTranslate2 writes.
def test_rows_are_scaled_to_127_by_hand():
    weight = np.array([[1, -2, 0.5], [0, 0, 0], [1e-40, 0, 0]], np.float32)
    numbers, scales = _quantize_rows(weight)
    assert numbers.tolist() == [[64, -127, 32], [0, 0, 0], [0, 0, 0]] and numbers.dtype == np.int8
    assert scales[:2].tolist() == [63.5, 1] and np.isfinite(scales).all() and scales.dtype == np.float32


@pytest.mark.parametrize("shape", [(), (0,), (3,), (1, 2, 3, 4)])
def test_an_array_of_another_shape_in_ctranslate2s_file_is_refused(shape, tmp_path):
    good = _variables_of(Whisper(replace(SMALL, n_vocab=64, n_audio_ctx=10, n_audio_layer=1, n_text_layer=1)))
    kinds = ("encodings", "weight", "bias", "gamma", "beta", *(("num_heads",) if shape else ()))
    for name in (name for name in good if name.endswith(kinds)):
        with (tmp_path / "model.bin").open("wb") as file:
            _write_variables(file, good | {name: np.ones(shape, good[name].dtype)})
        with pytest.raises(CheckpointError) as caught:
            load_model(tmp_path)
        assert str(caught.value).startswith(str(tmp_path)), name


def test_blocks_of_ggml_are_scaled_by_hand():
    scale, numbers = np.float16(0.5).tobytes(), list(range(-16, 16))
    q8 = scale + np.array(numbers, np.int8).tobytes()
    assert _dequantize(Q8_0, memoryview(q8)).ravel().tolist() == [0.5 * number for number in numbers]
    low = bytes((number & 15) | ((number + 16) & 15) << 4 for number in range(16))  # 0 to 15, and 16 to 31
    q5 = scale + (0xFFFF0000).to_bytes(4, "little") + low  # the high bits of the second half are set
    assert _dequantize(Q5_0, memoryview(q5)).ravel().tolist() == [0.5 * (number - 16) for number in range(32)]
    q4 = scale + bytes(number | (15 - number) << 4 for number in range(16))
    expected = [0.5 * (number - 8) for number in (*range(16), *range(15, -1, -1))]
    assert _dequantize(Q4_0, memoryview(q4)).ravel().tolist() == expected


@pytest.mark.parametrize("export", FORMATS)
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[:-100], "damaged or cut short"),
        (lambda data: data[:20], "damaged or cut short"),
        (lambda data: b"", "damaged or cut short"),
        (lambda data: b"PK\3\4" + data[4:], "expected a CTranslate2|damaged or cut short"),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(export, damage, message, tmp_path):
    write = {"ct2": write_ctranslate2, "ggml": write_ggml}[export]
    write(small_model(), tmp_path)
    file, path = FORMATS[export]
    (tmp_path / file).write_bytes(damage((tmp_path / file).read_bytes()))
    with pytest.raises(CheckpointError, match=message) as caught:
        load_model(tmp_path / path)
    assert str(tmp_path / file) in str(caught.value) and "\n" not in str(caught.value)


def test_the_file_of_whisper_cpp_starts_as_its_converter_writes_it(tmp_path):
    write_ggml(half(small_model()), tmp_path)
    data = (tmp_path / "ggml-model.bin").read_bytes()
    assert data[:4] == b"lmgg"
    assert struct.unpack_from("<11i", data, 4) == (51865, 1500, 64, 2, 2, 64, 64, 2, 2, 80, 1)
    assert read_ggml(tmp_path / "ggml-model.bin")[0]["n_text_ctx"] == 64


@pytest.mark.parametrize("options", [("--quantize",), ("--dtype", "bfloat16")])
def test_forms_that_an_engine_lacks_are_refused(options, model_folder, tmp_path, run_main):
    outcome = run_main(convert, "--model", model_folder, "--export", "ggml", *options, "--save-path", tmp_path / "x")
    assert outcome.code == 2 and "--export ggml" in outcome.err
    assert not (tmp_path / "x").exists()
