"""The strength of an adapter: 0 is the base, 1 the adapter, and 0.5 has the mean of their weights."""

from dataclasses import replace
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
from mlx.utils import tree_flatten

import mlx_whisper_lora
from mlx_whisper_lora import fuse, lora
from mlx_whisper_lora.adapters.adapter_file import AdapterConfig, Base, load_adapter, read_adapter, save_adapter
from mlx_whisper_lora.adapters.errors import AdapterError
from mlx_whisper_lora.adapters.inject import adapter_modules, add_adapter
from mlx_whisper_lora.adapters.loading import load_model
from mlx_whisper_lora.adapters.lora import LoRA, LoRAConfig
from mlx_whisper_lora.adapters.new_language import NewLanguage
from mlx_whisper_lora.whisper.checkpoints.load import load_model as load_base
from mlx_whisper_lora.whisper.checkpoints.save import save_model
from mlx_whisper_lora.whisper.model.quantization import Quantization, dequantize, quantize
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.option import OptionError
from tests.support.models import small_model


def write_adapter(path: Path, base: Path, new_language: NewLanguage | None = None) -> Path:
    model = load_base(base, mx.float32)
    config = AdapterConfig(LoRAConfig(rank=2), "te", "transcribe", 30.0, Base.of(model, str(base)))
    add_adapter(model, config.settings, new_language)
    for module in adapter_modules(model).values():
        if "lora_b" in module:
            module.lora_b = mx.random.normal(module.lora_b.shape, key=mx.random.key(1)) * 0.1
        else:
            module.row = module.row + 1
    save_adapter(path, model, replace(config, new_language=new_language))
    return path


@pytest.fixture
def adapter_file(tmp_path, model_folder) -> Path:
    return write_adapter(tmp_path / "a.npz", model_folder)


def logits(model: Whisper) -> np.ndarray:
    mel = mx.array(np.random.default_rng(0).standard_normal((1, 100, 80)).astype(np.float32))
    return np.array(model(mel, mx.array([[50258, 50259, 50359, 50363, 7]])))


def weights(model: Whisper) -> dict[str, np.ndarray]:
    return {name: np.array(array) for name, array in tree_flatten(model.parameters())}


def with_strength(base: Path, adapter_file: Path, strength: float) -> Whisper:
    return load_model(base, adapter_file=adapter_file, adapter_strength=strength, dtype=mx.float32)


def test_none_of_it_is_the_base_and_all_of_it_the_adapter(model_folder, adapter_file):
    base, adapted = load_base(model_folder, mx.float32), load_base(model_folder, mx.float32)
    load_adapter(adapted, adapter_file, str(model_folder))
    np.testing.assert_array_equal(logits(with_strength(model_folder, adapter_file, 0)), logits(base))
    np.testing.assert_allclose(logits(with_strength(model_folder, adapter_file, 1)), logits(adapted), atol=1e-4)
    assert np.abs(logits(adapted) - logits(base)).max() > 0.1


def test_half_of_it_has_the_mean_of_the_weights(model_folder, adapter_file):
    base, adapted = (weights(with_strength(model_folder, adapter_file, strength)) for strength in (0, 1))
    for name, array in weights(with_strength(model_folder, adapter_file, 0.5)).items():
        np.testing.assert_allclose(array, (base[name] + adapted[name]) / 2, atol=1e-6, err_msg=name)


def test_a_quantized_base(tmp_path):
    model = small_model()
    quantize(model, Quantization(32, 8))
    save_model(model, tmp_path / "base")
    adapter_file = write_adapter(tmp_path / "a.npz", tmp_path / "base")
    dequantize(model)
    found = weights(with_strength(tmp_path / "base", adapter_file, 0))["decoder.blocks.0.mlp1.weight"]
    np.testing.assert_allclose(found, weights(model)["decoder.blocks.0.mlp1.weight"], atol=1e-6)


def test_the_token_of_a_new_language_stays(tmp_path, model_folder):
    path = write_adapter(tmp_path / "a.npz", model_folder, NewLanguage("dv", "si"))
    embedding = weights(with_strength(model_folder, path, 0))["decoder.token_embedding.weight"]
    np.testing.assert_array_equal(embedding[:-1], weights(small_model())["decoder.token_embedding.weight"])
    np.testing.assert_array_equal(embedding[-1], read_adapter(path).arrays["decoder.token_embedding.row"])


def test_a_method_that_cannot_be_merged_has_no_strength(model_folder, adapter_file, monkeypatch):
    monkeypatch.setattr(LoRA, "fuse", lambda self, module=None: None)
    with pytest.raises(AdapterError, match=r"a.npz: lora cannot be merged into .*, so its strength is always 1"):
        with_strength(model_folder, adapter_file, 0.5)


def test_fuse_takes_a_strength(model_folder, adapter_file, tmp_path, run_main, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run_main(fuse, "--adapter-file", adapter_file, "--adapter-strength", 0.6).code == 0
    expected = logits(with_strength(model_folder, adapter_file, 0.6))
    np.testing.assert_allclose(logits(load_base("fused_model", mx.float32)), expected, atol=1e-4)


def test_a_test_takes_a_strength(model_folder, adapter_file, clips_folder, run_main):
    short = ("--data", clips_folder, "--sample-len", 4, "--temperature-increment-on-fallback", "None")
    adapter = ("--test", "--model", model_folder, "--adapter-file", adapter_file, *short)
    base = run_main(lora, "--test", "--model", model_folder, *short).out.splitlines()[-1]
    lines = [run_main(lora, *adapter, "--adapter-strength", each).out.splitlines()[-1] for each in (0, 1)]
    assert lines[0] == base != lines[1] and "Test loss" in base


def test_a_strength_without_an_adapter_is_a_mistake(model_folder, run_main, clips_folder):
    with pytest.raises(OptionError, match=r"^adapter_strength requires adapter_file$"):
        mlx_whisper_lora.transcribe(np.zeros(16000, np.float32), path_or_hf_repo=model_folder, adapter_strength=0.5)
    outcome = run_main(lora, "--test", "--model", model_folder, "--data", clips_folder, "--adapter-strength", 0.5)
    assert outcome.err == "mlx_whisper_lora.lora: error: --adapter-strength is for the --test of an --adapter-file\n"
