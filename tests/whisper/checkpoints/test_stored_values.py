"""A value that a checkpoint stores is used, or refused. None is dropped in silence."""

import importlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from mlx.utils import tree_flatten

from mlx_whisper_lora import convert
from mlx_whisper_lora.adapters.adapter_file import fingerprint
from mlx_whisper_lora.whisper.checkpoints.ctranslate2 import (
    _in_int8,
    _variables_of,
    _write_variables,
    write_ctranslate2,
)
from mlx_whisper_lora.whisper.checkpoints.ggml import HEADER, write_ggml
from mlx_whisper_lora.whisper.checkpoints.hf_export import save_hf_model
from mlx_whisper_lora.whisper.checkpoints.load import load_model
from mlx_whisper_lora.whisper.checkpoints.save import ExportOptions, export_model, save_model
from mlx_whisper_lora.whisper.decoding.decode import decode
from mlx_whisper_lora.whisper.decoding.language import detect_language
from mlx_whisper_lora.whisper.errors import CheckpointError
from mlx_whisper_lora.whisper.model.whisper import Whisper, are_sinusoids, sinusoids
from tests.support.clips import write_clips
from tests.support.models import small_model
from tests.support.pt_writer import write_openai_checkpoint
from tests.support.references import CHECKPOINTS

FILES = {"mlx": "", "hf": "", "ct2": "", "ggml": "ggml-model.bin", "pt": "small.pt"}  # the path to load, by format


def model_with_trained_positions() -> Whisper:
    model = small_model()
    model.encoder.positional_embedding = model.encoder.positions + 0.003 * mx.random.normal((1500, 64))
    return model


def write(model: Whisper, folder: Path, form: str) -> None:
    """Write a plain model in float32 in one of the formats."""
    if form == "pt":
        folder.mkdir()
        write_openai_checkpoint(folder / "small.pt", model)
    else:
        export_model(model, folder, ExportOptions("float32", export=form))


@pytest.mark.parametrize("form", FILES)
def test_trained_encoder_positions_are_used_and_kept_in_every_format(form, tmp_path):
    model = model_with_trained_positions()
    write(model, tmp_path / "out", form)
    loaded = load_model(tmp_path / "out" / FILES[form], mx.float32)
    assert mx.array_equal(loaded.encoder.positions, model.encoder.positions)
    mel = mx.ones((1, 40, 80))
    assert mx.allclose(loaded.encoder(mel), model.encoder(mel), atol=1e-5)
    assert not mx.allclose(loaded.encoder(mel), small_model().encoder(mel), atol=1e-3)
    assert fingerprint(loaded) == fingerprint(model) != fingerprint(small_model())


@pytest.mark.parametrize("form", FILES)
def test_sinusoids_in_a_file_are_no_trained_positions(form, tmp_path):
    write(small_model(), tmp_path / "out", form)
    loaded = load_model(tmp_path / "out" / FILES[form], mx.float32)
    assert fingerprint(loaded) == fingerprint(small_model())
    assert "encoder.positional_embedding" not in dict(tree_flatten(loaded.parameters()))


def test_trained_positions_survive_quantization(tmp_path):
    model = model_with_trained_positions()
    positions = model.encoder.positions
    export_model(model, tmp_path / "q", ExportOptions("float32", quantize=True, q_bits=8))
    assert mx.array_equal(load_model(tmp_path / "q", mx.float32).encoder.positions, positions)


@pytest.mark.parametrize("dtype", [mx.float32, mx.float16, mx.bfloat16])
@pytest.mark.parametrize("width", [384, 1280])
def test_sinusoids_are_recognized_in_every_type(dtype, width):
    stored = sinusoids(1500, width).astype(dtype)
    assert are_sinusoids(stored) and are_sinusoids(stored.astype(mx.float32))
    assert are_sinusoids((sinusoids(1500, width) + 1e-4).astype(dtype))  # PyTorch's are as far off
    assert not are_sinusoids((sinusoids(1500, width) + 0.01).astype(dtype))
    assert not are_sinusoids(mx.full((1500, width), float("nan"), dtype))


def test_a_small_change_of_the_positions_counts_in_float32():
    assert not are_sinusoids(sinusoids(1500, 384) + 0.0005)


def test_positions_of_another_length_are_refused(tmp_path):
    folder = shutil.copytree(CHECKPOINTS / "transformers", tmp_path / "hf")
    weights = mx.load(str(folder / "model.safetensors")) | {"model.encoder.embed_positions.weight": mx.ones((9, 8))}
    mx.eval(weights)
    mx.save_safetensors(str(folder / "model.safetensors"), weights)
    with pytest.raises(ValueError, match=r"encoder.positional_embedding has shape \(9, 8\), but the configuration"):
        load_model(folder)


def write_unchecked(model: Whisper, folder: Path, form: str) -> None:
    """Write a model that `export_model` refuses."""
    writers = {"mlx": save_model, "hf": save_hf_model, "ct2": write_ctranslate2, "ggml": write_ggml}
    writers[form](model, folder) if form in writers else write(model, folder, form)


@pytest.mark.parametrize("form", FILES)
@pytest.mark.parametrize("number", [float("nan"), float("-inf")])
def test_weights_that_are_not_finite_are_refused_by_name(number, form, tmp_path):
    model = small_model()
    model.decoder.blocks[1].mlp1.weight[3, 5] = number
    write_unchecked(model, tmp_path / "out", form)
    path = tmp_path / "out" / FILES[form]
    with pytest.raises(
        CheckpointError, match=r"decoder\.blocks\.1\.mlp1\.weight holds NaN or infinite numbers"
    ) as error:
        load_model(path, mx.float32)
    assert str(error.value).startswith(str(path))


@pytest.fixture
def large_model(tmp_path) -> Path:
    """Return a folder with a model of which a number fits float32 and bfloat16, and not float16."""
    model = small_model()
    model.encoder.blocks[0].mlp2.bias[7] = 1e6
    save_model(model, tmp_path / "large")
    return tmp_path / "large"


def test_numbers_that_float16_cannot_hold_are_refused(large_model):
    load_model(large_model, mx.float32)
    load_model(large_model, mx.bfloat16)
    with pytest.raises(
        CheckpointError, match=r"numbers of encoder\.blocks\.0\.mlp2\.bias are too large for float16; use"
    ):
        load_model(large_model, mx.float16)


def test_a_conversion_that_would_overflow_writes_nothing(large_model, tmp_path, run_main):
    outcome = run_main(convert, "--model", large_model, "--save-path", tmp_path / "half")
    assert outcome.code == 1 and "too large for float16" in outcome.err and outcome.err.count("\n") == 1
    with pytest.raises(ValueError, match=r"numbers of encoder.* are too large for dtype float16: give float32"):
        export_model(load_model(large_model, mx.float32), tmp_path / "half", ExportOptions("float16"))
    assert not (tmp_path / "half").exists()


@pytest.fixture
def overflowing_model(tmp_path) -> Path:
    """Return a folder with a model whose weights fit float16, and whose sums do not."""
    model = small_model()
    model.encoder.ln_post.weight = mx.full((64,), 60000.0)
    save_model(model, tmp_path / "overflowing")
    return tmp_path / "overflowing"


@pytest.mark.parametrize("options", [{}, {"beam_size": 2}, {"temperature": 0.5, "best_of": 2}])
def test_an_overflow_while_decoding_is_an_error(options, overflowing_model):
    model = load_model(overflowing_model, mx.float16)
    with pytest.raises(FloatingPointError, match="decoding failed: the numbers of this model overflow in float16;"):
        decode(model, mx.ones((200, 80)), language="en", sample_len=3, **options)
    with pytest.raises(FloatingPointError, match="overflow in float16"):
        detect_language(model, mx.ones((200, 80)))
    decode(load_model(overflowing_model, mx.float32), mx.ones((200, 80)), language="en", sample_len=3)


def test_an_overflow_ends_the_command_in_one_line(overflowing_model, tmp_path, run_main):
    audio = write_clips(tmp_path / "clips", ["one"]) / "0.wav"
    arguments = ("--model", overflowing_model, "--audio", audio, "--fp16", "True", "--language", "en")
    outcome = run_main(importlib.import_module("mlx_whisper_lora.transcribe"), *arguments)
    message = "decoding failed: the numbers of this model overflow in float16; compute in float32 (--fp16 False)"
    assert outcome.code == 1 and outcome.err.splitlines()[-1].endswith(message)


def write_ct2(folder: Path, change: Callable[[dict], Any], int8: bool = False) -> None:
    """Write a model for CTranslate2 with other arrays."""
    variables = _variables_of(small_model())
    variables = _in_int8(variables) if int8 else variables
    change(variables)
    with (folder / "model.bin").open("wb") as file:
        _write_variables(file, variables)


LINEAR = "decoder/layer_0/ffn/linear_0"
CT2 = {
    "embeddings scaled": (
        lambda arrays: arrays.update({"decoder/scale_embeddings": np.int8(1)}),
        "decoder/scale_embeddings is 1, and not 0",
    ),
    "ReLU": (lambda arrays: arrays.update({"decoder/activation": np.int8(0)}), "decoder/activation is 0, and not 3"),
    "norms after": (lambda arrays: arrays.update({"decoder/pre_norm": np.int8(0)}), "decoder/pre_norm is 0, and not 1"),
    "an output layer of its own": (
        lambda arrays: arrays.update({"decoder/projection/weight": 2 * arrays["decoder/embeddings/weight"]}),
        "decoder/projection differs from the token embedding",
    ),
    "its bias": (
        lambda arrays: arrays.update({"decoder/projection/bias": np.ones(51865, np.float32)}),
        "decoder/projection/bias is not part of a Whisper model",
    ),
    "an unknown array": (
        lambda arrays: arrays.update({f"{LINEAR}/lora": np.ones(3, np.float32)}),
        f"{LINEAR}/lora is not part of a Whisper model",
    ),
    "a key with a bias": (
        lambda arrays: arrays["decoder/layer_0/self_attention/linear_0/bias"].__setitem__(70, 1),
        "the key has a bias",
    ),
}


@pytest.mark.parametrize("case", CT2)
def test_what_whisper_lacks_in_ctranslate2s_file_is_refused(case, tmp_path):
    change, message = CT2[case]
    write_ct2(tmp_path, change)
    with pytest.raises(CheckpointError, match=message):
        load_model(tmp_path)


def test_a_setting_that_is_off_is_ignored(tmp_path):
    write_ct2(tmp_path, lambda arrays: arrays.update({"decoder/something_new": np.int8(0)}))
    load_model(tmp_path)


@pytest.mark.parametrize("scale", [np.zeros(256), np.full(256, np.nan), np.ones(5), np.ones(0)])
def test_a_scale_without_use_is_refused(scale, tmp_path, recwarn):
    write_ct2(tmp_path, lambda arrays: arrays.update({f"{LINEAR}/weight_scale": scale.astype(np.float32)}), int8=True)
    with pytest.raises(
        CheckpointError, match=f"{LINEAR}/weight_scale does not hold a number other than 0 for each out"
    ):
        load_model(tmp_path)
    assert not list(recwarn)


def test_other_mel_filters_in_whisper_cpps_file_are_refused(tmp_path):
    write(small_model(), tmp_path / "out", "ggml")
    path = tmp_path / "out" / "ggml-model.bin"
    data = bytearray(path.read_bytes())
    start = 4 * (len(HEADER) + 2) + 8
    data[start : start + 4 * 201] = bytes(4 * 201)
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="its mel filters are not Whisper's"):
        load_model(path)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("preprocessor_config.json", {"do_normalize": True}),
        ("processor_config.json", {"feature_extractor": {"n_fft": 512}}),
        ("processor_config.json", {"feature_extractor": [1]}),
    ],
)
def test_another_front_end_is_refused(name, settings, tmp_path):
    folder = shutil.copytree(CHECKPOINTS / "transformers", tmp_path / "hf")
    (folder / name).write_text(json.dumps(settings))
    with pytest.raises(CheckpointError, match=f"{name}: .*fix or remove this file"):
        load_model(folder)


@pytest.mark.parametrize("form", ["hf", "mlx", "ct2"])
@pytest.mark.parametrize("suppressed", [(), (5, 7)])
def test_the_tokens_that_a_checkpoint_suppresses_are_used_and_kept(suppressed, form, tmp_path):
    model = small_model()
    model.suppress_tokens, model.begin_suppress_tokens = suppressed, (11,)
    write(model, tmp_path / "one", form)
    loaded = load_model(tmp_path / "one", mx.float32)
    always = {50258, 50358, 50359, 50360, 50361, 50362}
    assert loaded.tokenizer("te").suppressed_tokens("-1", 51865) == always | set(suppressed)
    assert loaded.tokenizer("te").blank_tokens == (11,)
    # A model that names none has openai-whisper's.
    assert len(small_model().tokenizer("te").suppressed_tokens("-1", 51865)) == 88


def test_tokens_to_suppress_are_numbers(tmp_path):
    write(small_model(), tmp_path / "hf", "hf")
    path = tmp_path / "hf" / "generation_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"suppress_tokens": "none"}))
    with pytest.raises(CheckpointError, match=r"suppress_tokens should be a list of token numbers; fix or remove it"):
        load_model(tmp_path / "hf")
