"""The base of the page, and the same with an adapter."""

from dataclasses import replace

import mlx.core as mx
import numpy as np
import pytest

from mlx_whisper_lora.adapters.adapter_file import Adapter, AdapterConfig, Base, read_adapter, save_adapter
from mlx_whisper_lora.adapters.errors import AdapterError
from mlx_whisper_lora.adapters.inject import adapter_modules, add_adapter
from mlx_whisper_lora.adapters.loading import load_model
from mlx_whisper_lora.adapters.lora import LoRAConfig
from mlx_whisper_lora.adapters.methods import METHODS
from mlx_whisper_lora.adapters.new_language import NewLanguage
from mlx_whisper_lora.studio_page.models import StudioModels


@pytest.fixture
def base(model_folder):
    return load_model(model_folder)


def adapter_of(model_folder, path, settings, new_language: NewLanguage | None = None) -> Adapter:
    model = load_model(model_folder)
    config = AdapterConfig(settings, "en", "transcribe", 30.0, Base.of(model, str(model_folder)))
    add_adapter(model, settings, new_language)
    for module in adapter_modules(model).values():
        if "lora_b" in module:
            module.lora_b = mx.ones(module.lora_b.shape)
    save_adapter(path, model, replace(config, new_language=new_language))
    return read_adapter(path)


def query(model) -> mx.array:
    return model.decoder.blocks[-1].attn.query.weight


def test_the_models_share_what_the_adapter_leaves_and_differ_by_its_strength(model_folder, base, tmp_path):
    adapter = adapter_of(model_folder, tmp_path / "a.npz", LoRAConfig(rank=2, layers=1))
    models = StudioModels(str(model_folder), base, adapter)
    plain, adapted = models.at_strength(1.0)
    assert plain is base and models.takes_strength
    assert adapted.encoder.conv1.weight is not None and mx.array_equal(
        adapted.encoder.conv1.weight, plain.encoder.conv1.weight
    )
    whole = np.array(query(adapted) - query(base))
    half = np.array(query(models.at_strength(0.5)[1]) - query(base))
    assert np.abs(whole).max() > 0.1 and np.allclose(half, whole / 2, atol=1e-5)
    assert mx.array_equal(query(models.at_strength(0.0)[1]), query(base))


def test_an_adapter_that_cannot_be_merged_has_no_strength(model_folder, base, tmp_path):
    adapter = adapter_of(model_folder, tmp_path / "a.npz", METHODS["adapter"].Config())
    models = StudioModels(str(model_folder), base, adapter)
    assert not models.takes_strength and len(models.at_strength(1.0)) == 2
    with pytest.raises(AdapterError, match="so its strength is always 1"):
        models.at_strength(0.5)
    assert models.strength == 1.0


def test_the_base_takes_the_near_language_for_one_that_came_with_the_adapter(model_folder, base, tmp_path):
    adapter = adapter_of(model_folder, tmp_path / "a.npz", LoRAConfig(rank=2), NewLanguage("dv", "si"))
    models = StudioModels(str(model_folder), base, adapter)
    plain, adapted = models.at_strength(1.0)
    assert (plain.default_language, adapted.default_language) == (None, None)  # the page detects it if asked to
    assert models.languages[-1] == "dv" and "dv" not in plain.vocabulary.languages
    assert [models.language_for(model, "dv") for model in (plain, adapted)] == ["si", "dv"]
    assert [models.language_for(model, None) for model in (plain, adapted)] == [None, None]
