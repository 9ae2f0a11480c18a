"""Our adapters as folders of PEFT. tests/parity/test_peft.py opens such a folder in PEFT."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest

from mlx_whisper_lora import convert
from mlx_whisper_lora.adapters.adapter_file import Adapter, AdapterConfig, Base, read_adapter, save_adapter
from mlx_whisper_lora.adapters.dora import DoRAConfig
from mlx_whisper_lora.adapters.errors import AdapterError
from mlx_whisper_lora.adapters.inject import adapter_modules, add_adapter
from mlx_whisper_lora.adapters.lora import LoRAConfig
from mlx_whisper_lora.adapters.new_language import NewLanguage
from mlx_whisper_lora.adapters.open import open_adapter
from mlx_whisper_lora.adapters.peft import write_peft
from tests.support.models import small_model
from tests.support.peft_folders import change_config

SETTINGS = LoRAConfig(rank=3, scale=1.5, dropout=0.1, layers=1, targets=("cross_attn.query", "mlp2"))


def adapter_of(settings: LoRAConfig, folder: Path) -> Adapter:
    """Return an adapter of the last blocks of a model that came from the Hub."""
    model = small_model()
    base = replace(Base.of(model, "small"), repository="mlx-community/whisper-small-mlx@v1")
    add_adapter(model, settings)
    for module in adapter_modules(model).values():
        module.lora_b = mx.random.normal(module.lora_b.shape, key=mx.random.key(1))
    config = AdapterConfig(settings, "te", "translate", 12.5, base, run="5eed", clips=frozenset({7, 2**64 - 1}))
    save_adapter(folder / "a.npz", model, config)
    return read_adapter(folder / "a.npz")


@pytest.fixture
def adapter(tmp_path) -> Adapter:
    return adapter_of(SETTINGS, tmp_path)


@pytest.mark.parametrize("kind", [LoRAConfig, DoRAConfig])
def test_a_folder_that_was_written_is_the_same_adapter(kind, tmp_path):
    adapter = adapter_of(kind(**asdict(SETTINGS)), tmp_path)
    write_peft(adapter, tmp_path / "peft")
    found = open_adapter(tmp_path / "peft")
    assert found.config == adapter.config
    assert found.arrays.keys() == adapter.arrays.keys()
    assert all(np.array_equal(found.arrays[name], array) for name, array in adapter.arrays.items())


def test_the_configuration_names_exactly_the_layers_and_openais_base(adapter, tmp_path):
    write_peft(adapter, tmp_path / "peft")
    assert json.loads((tmp_path / "peft" / "adapter_config.json").read_text()) == {
        "peft_type": "LORA",
        "base_model_name_or_path": "openai/whisper-small",
        "revision": "v1",
        "r": 3,
        "lora_alpha": 4.5,
        "lora_dropout": 0.1,
        "target_modules": [
            "model.decoder.layers.1.encoder_attn.q_proj",
            "model.decoder.layers.1.fc2",
            "model.encoder.layers.1.fc2",
        ],
        "use_dora": False,
        "bias": "none",
        "inference_mode": True,
    }


def test_an_edited_scale_counts(adapter, tmp_path):
    write_peft(adapter, tmp_path / "peft")
    change_config(tmp_path / "peft", lora_alpha=9)
    found = open_adapter(tmp_path / "peft").config
    assert (found.settings.scale, found.language) == (3.0, "te")


def test_damaged_metadata_is_one_line(adapter, tmp_path):
    write_peft(adapter, tmp_path / "peft")
    path = tmp_path / "peft" / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes().replace(b'\\"version\\": 3', b'\\"version\\": 9'))
    with pytest.raises(AdapterError, match=r"its metadata is not what this library reads \(its format is version 9"):
        open_adapter(tmp_path / "peft")


def test_what_peft_cannot_hold_is_refused(adapter, tmp_path):
    new = replace(adapter, config=replace(adapter.config, new_language=NewLanguage("dv", "si")))
    with pytest.raises(AdapterError, match=r"its new language dv has a token of its own, .* fuse --export hf"):
        write_peft(new, tmp_path / "peft")
    assert not (tmp_path / "peft").exists()


def test_the_command_writes_the_folder(adapter, tmp_path, run_main, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = run_main(convert, "--adapter-file", "a.npz", "--export", "peft", "--save-path", "peft")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.splitlines()[-1] == "Converted a.npz: peft"
    assert sorted(path.name for path in Path("peft").iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--adapter-file", "a.npz"), "--adapter-file is written for PEFT: give --export peft too"),
        (("--export", "peft"), "--export peft is for adapters: give --adapter-file"),
        (
            ("--adapter-file", "a.npz", "--export", "peft", "--dtype", "float16"),
            "--dtype is for models, and --adapter-file is given: leave out one of them",
        ),
    ],
)
def test_options_of_a_model_and_of_an_adapter_exclude_each_other(arguments, message, run_main):
    outcome = run_main(convert, *arguments)
    assert (outcome.code, outcome.err) == (2, f"mlx_whisper_lora.convert: error: {message}\n")
