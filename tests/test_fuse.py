"""The command that merges an adapter into its base."""

import importlib
import json
import os
import re
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
import soundfile

import mlx_whisper_lora
from mlx_whisper_lora import fuse
from mlx_whisper_lora.adapters import adapter_file as adapters
from mlx_whisper_lora.adapters.adapter_file import AdapterConfig, Base, load_adapter, save_adapter
from mlx_whisper_lora.adapters.dora import DoRAConfig
from mlx_whisper_lora.adapters.inject import adapter_modules, add_adapter
from mlx_whisper_lora.adapters.lora import TARGETS, LoRAConfig
from mlx_whisper_lora.whisper.audio.context import AUTO
from mlx_whisper_lora.whisper.checkpoints import hub
from mlx_whisper_lora.whisper.checkpoints.load import load_model
from mlx_whisper_lora.whisper.checkpoints.save import save_model
from mlx_whisper_lora.whisper.model.quantization import Quantization, quantization_of, quantize
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.transcription import long_form
from tests.support.clips import tone
from tests.support.models import small_model

transcribe = importlib.import_module("mlx_whisper_lora.transcribe")  # the attribute of that name may be the function


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def base() -> Path:
    save_model(small_model(), "plain")
    return Path("plain")


@pytest.fixture
def adapter_file(base) -> Path:
    """An adapter on every layer that can have one."""
    return write_adapter(30.0)


def write_adapter(audio_context: float) -> Path:
    model = load_model("plain")
    settings = LoRAConfig(layers=-1, targets=TARGETS)
    config = AdapterConfig(settings, "te", "transcribe", audio_context, Base.of(model, "plain"))
    add_adapter(model, config.settings)
    mx.random.seed(3)
    for module in adapter_modules(model).values():
        module.lora_b = mx.random.normal(module.lora_b.shape) * 0.05
    save_adapter("adapters.npz", model, config)
    return Path("adapters.npz")


def logits(model: Whisper) -> np.ndarray:
    mel = mx.array(np.random.default_rng(0).standard_normal((1, 200, 80)).astype(np.float32))
    return np.array(model(mel, mx.array([[50258, 50299, 50359, 50363, 7]])))


def test_the_fused_model_is_base_and_adapter(adapter_file, run_main):
    outcome = run_main(fuse)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == "Fused adapters.npz into its base: fused_model\n"
    unfused = load_model("plain")
    load_adapter(unfused, adapter_file, "plain")
    assert np.abs(logits(unfused) - logits(load_model("plain"))).max() > 0.1
    np.testing.assert_allclose(logits(load_model("fused_model")), logits(unfused), atol=1e-4)
    in_memory = mlx_whisper_lora.load_model("plain", adapter_file=adapter_file)
    np.testing.assert_allclose(logits(in_memory), logits(unfused), atol=1e-4)


@pytest.mark.parametrize(("trained", "given", "frames"), [(AUTO, None, 150), (5.0, None, 500), (AUTO, 30.0, 3000)])
def test_transcription_follows_the_audio_context_of_the_adapter(trained, given, frames, base, run_main, monkeypatch):
    write_adapter(trained)
    assert run_main(fuse).code == 0
    adapted, fused = mlx_whisper_lora.load_model("plain", adapter_file="adapters.npz"), load_model("fused_model")
    shapes, encode = [], Whisper.encode
    monkeypatch.setattr(Whisper, "encode", lambda model, mel: (shapes.append(mel.shape), encode(model, mel))[1])
    options = {"temperature": 0.0, "sample_len": 3, "audio_context": given}
    texts = [long_form.transcribe(model, tone(1.2), **options)["text"] for model in (adapted, fused)]
    assert texts[0] == texts[1]
    assert shapes == [(1, frames, 80)] * 2  # each model knows the language of the adapter, and decodes


@pytest.mark.parametrize("layout", ["mlx", "hf"])
def test_the_fused_model_has_the_language_of_the_adapter(layout, adapter_file, run_main):
    assert run_main(fuse, "--export", layout).code == 0
    assert json.loads(Path("fused_model/generation_config.json").read_text())["language"] == "<|te|>"
    fused = load_model("fused_model")
    assert fused.default_language == "te" and load_model("plain").default_language is None
    options = {"temperature": 0.0, "sample_len": 3}
    assert long_form.transcribe(fused, tone(1.2), **options)["language"] == "te"
    assert long_form.transcribe(fused, tone(1.2), language="hi", **options)["language"] == "hi"


def test_the_folder_is_a_model_and_needs_no_adapter(adapter_file, run_main):
    assert run_main(fuse, "--adapter-file", adapter_file, "--save-path", "deep/er/fused").code == 0
    written = sorted(path.name for path in Path("deep/er/fused").iterdir())
    assert written == ["config.json", "generation_config.json", "weights.safetensors"]
    config = json.loads(Path("deep/er/fused/config.json").read_text())
    assert config == {"model_type": "whisper", **small_model().dims.to_dict()}
    result = mlx_whisper_lora.transcribe(
        tone(1.0), path_or_hf_repo="deep/er/fused", language="te", temperature=0.0, no_speech_threshold=None
    )
    with_adapter = mlx_whisper_lora.transcribe(
        tone(1.0), path_or_hf_repo="plain", adapter_file="adapters.npz", temperature=0.0, no_speech_threshold=None
    )
    assert result["text"] == with_adapter["text"] and result["language"] == with_adapter["language"] == "te"


def test_the_adapter_is_read_once_and_the_hub_is_asked_once(adapter_file, base, monkeypatch, run_main):
    opened, downloads = [], []
    read = adapters._read_arrays
    monkeypatch.setattr(adapters, "_read_arrays", lambda path, wanted: opened.append(path.name) or read(path, wanted))
    monkeypatch.setattr(hub, "download_repository", lambda name, *_, **__: downloads.append(name) or base)
    outcome = run_main(fuse, "--adapter-file", adapter_file, "--model", "someone/whisper-small")
    assert outcome.code == 0, outcome.err
    assert (opened, downloads) == (["adapters.npz"], ["someone/whisper-small"])


def test_transcribe_reads_the_adapter_once(adapter_file, monkeypatch, run_main):
    opened = []
    read = adapters._read_arrays
    monkeypatch.setattr(adapters, "_read_arrays", lambda path, wanted: opened.append(path.name) or read(path, wanted))
    soundfile.write("x.wav", tone(0.5), 16000)
    outcome = run_main(transcribe, "--adapter-file", adapter_file, "--audio", "x.wav", "--temperature", "0")
    assert outcome.code == 0, outcome.err
    assert opened == ["adapters.npz"]


def test_another_base_from_the_hub_is_named_as_it_was_given(adapter_file, monkeypatch, run_main):
    save_model(small_model(seed=1), "downloaded")
    monkeypatch.setattr(hub, "download_repository", lambda *_, **__: Path("downloaded"))
    outcome = run_main(fuse, "--model", "someone/whisper-small")
    message = f"this adapter was trained on {Path('plain').resolve()} (weights "
    assert outcome.code == 1 and message in outcome.err
    assert "and someone/whisper-small has the same dimensions but other weights" in outcome.err


def test_the_base_may_have_moved(adapter_file, base, run_main):
    base.rename("moved")
    outcome = run_main(fuse)
    assert outcome.code == 1 and re.search(r"adapter names its base .*/plain, which is not .* --model$", outcome.err)
    assert run_main(fuse, "--model", "moved").code == 0


def test_the_base_is_not_overwritten(adapter_file, base, run_main):
    before = (base / "weights.safetensors").read_bytes()
    outcome = run_main(fuse, "--save-path", base)
    assert outcome.code == 1 and "plain: the result would replace the model that it is made from" in outcome.err
    assert (base / "weights.safetensors").read_bytes() == before


def test_a_base_in_float16_fuses_in_float32(adapter_file, base, run_main):
    half = load_model(base, mx.float16)
    save_model(half, "half")
    assert run_main(fuse, "--model", "half").code == 0
    assert load_model("fused_model", mx.float32).dtype == mx.float32
    weights = mx.load("fused_model/weights.safetensors")
    assert {array.dtype for array in weights.values()} == {mx.float32}


def test_the_fused_model_is_written_in_any_form(adapter_file, run_main):
    expected = logits(mlx_whisper_lora.load_model("plain", adapter_file=adapter_file, dtype=mx.float32))
    assert run_main(fuse, "--export", "hf", "--save-path", "hf").code == 0
    assert "model.safetensors" in os.listdir("hf")
    np.testing.assert_allclose(logits(load_model("hf", mx.float32)), expected, atol=1e-4)
    assert run_main(fuse, "-q", "--q-bits", "8", "--q-group-size", "32", "--save-path", "q").code == 0
    quantized = load_model("q", mx.float32)
    assert quantization_of(quantized) == Quantization(32, 8)
    assert np.abs(logits(quantized) - expected).mean() < 0.05 * np.abs(expected).mean()


@pytest.mark.parametrize("kind", [LoRAConfig, DoRAConfig])
def test_an_adapter_on_a_quantized_base(kind, run_main):
    model = small_model()
    quantize(model, Quantization(64, 4))
    save_model(model, "quantized")
    model = load_model("quantized", mx.float32)
    config = AdapterConfig(kind(layers=-1, targets=TARGETS), "te", "transcribe", 30.0, Base.of(model, "quantized"))
    add_adapter(model, config.settings)
    for module in adapter_modules(model).values():
        module.lora_b = mx.random.normal(module.lora_b.shape, key=mx.random.key(1)) * 0.05
    save_adapter("adapters.npz", model, config)
    expected = logits(model)
    np.testing.assert_allclose(
        logits(mlx_whisper_lora.load_model("quantized", adapter_file="adapters.npz")), expected, atol=1e-3
    )
    outcome = run_main(fuse)
    assert outcome.code == 0 and "the base is quantized in 4 bits, and the fused model is not" in outcome.out
    fused = load_model("fused_model", mx.float32)
    assert quantization_of(fused) is None
    np.testing.assert_allclose(logits(fused), expected, atol=1e-3)


@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16, mx.float32])
def test_base_and_adapter_load_in_any_precision(dtype, adapter_file):
    model = mlx_whisper_lora.load_model("plain", adapter_file=adapter_file, dtype=dtype)
    assert model.dtype == dtype and not adapter_modules(model)
    assert model.decoder.blocks[0].mlp2.weight.dtype == dtype
    exact = np.array(
        mlx_whisper_lora.load_model("plain", adapter_file=adapter_file, dtype=mx.float32).encoder.blocks[0].mlp1.weight
    )
    rounded = np.array(model.encoder.blocks[0].mlp1.weight.astype(mx.float32))
    np.testing.assert_allclose(rounded, exact, rtol=2**-8, atol=1e-3)


def test_a_save_path_that_is_a_file_is_refused(adapter_file, run_main):
    Path("taken").write_text("mine")
    outcome = run_main(fuse, "--save-path", "taken")
    assert outcome.code == 1 and "fuse: error: taken: this is not a folder" in outcome.err
    assert Path("taken").read_text() == "mine" and "fused_model" not in os.listdir()
