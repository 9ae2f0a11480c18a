"""Adapters of PEFT: they give the logits of transformers with PEFT, and folders that are not read are one line."""

from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest

from mlx_whisper_lora import fuse, lora
from mlx_whisper_lora.adapters.adapter_file import load_adapter, read_adapter_config
from mlx_whisper_lora.adapters.errors import AdapterError
from mlx_whisper_lora.adapters.inject import adapter_modules
from mlx_whisper_lora.adapters.loading import find_model, load_model
from mlx_whisper_lora.adapters.lora import LoRAConfig
from mlx_whisper_lora.adapters.open import open_adapter, open_adapter_config
from mlx_whisper_lora.whisper.assets import DEMO_MODEL
from tests.support.models import small_model
from tests.support.peft_folders import (
    CASES,
    REFERENCE,
    change_arrays,
    copy_reference,
    demo_logits,
    reference_logits,
    write_peft_folder,
)
from tests.support.pt_writer import write_pt

QUERY = "base_model.model.model.decoder.layers.0.self_attn.q_proj"


@pytest.mark.parametrize("case", CASES)
def test_an_adapter_gives_the_logits_that_it_gives_in_transformers(case):
    """`patterns` has layers of some blocks only, with their own ranks and scales, and rank-stabilized."""
    adapter = open_adapter(REFERENCE / case)
    model = load_model(DEMO_MODEL, dtype=mx.float32)
    load_adapter(model, adapter, "demo")
    assert np.abs(reference_logits(case) - reference_logits("base")).max() > 0.1
    np.testing.assert_allclose(demo_logits(model), reference_logits(case), atol=1e-4)
    fused = load_model(DEMO_MODEL, adapter_file=REFERENCE / case, dtype=mx.float32)
    np.testing.assert_allclose(demo_logits(fused), reference_logits(case), atol=1e-4)


def test_its_configuration_is_what_peft_stores():
    config = open_adapter_config(REFERENCE / "query_value")
    targets = ("attn.query", "attn.value", "cross_attn.query", "cross_attn.value")
    assert config.settings == LoRAConfig(rank=2, scale=3.0, dropout=0.05, targets=targets)
    assert (config.language, config.task, config.audio_context) == (None, "transcribe", 30.0)
    assert (config.base.name, config.base.repository) == ("someone/whisper-demo", "someone/whisper-demo")


def test_a_layer_without_matrices_gets_zeros_which_have_no_gradient():
    model = load_model(DEMO_MODEL, dtype=mx.float32)
    load_adapter(model, open_adapter(REFERENCE / "patterns"), "demo")
    padding = adapter_modules(model)["decoder.blocks.3.mlp1"]
    assert mx.abs(padding.lora_a).max().item() == mx.abs(padding.lora_b).max().item() == 0.0


@pytest.mark.parametrize(
    "rename",
    [
        lambda name: name.replace("base_model.model.model.", "base_model.model."),  # of a WhisperModel without a head
        lambda name: name.replace(".weight", ".default.weight"),  # of a state dict
        lambda name: name.removeprefix("base_model.model."),
    ],
)
def test_other_spellings_of_names_are_the_same_adapter(rename, tmp_path):
    folder = copy_reference(tmp_path / "a")
    arrays = mx.load(str(folder / "adapter_model.safetensors"))
    change_arrays(folder, **dict.fromkeys(arrays), **{rename(name): array for name, array in arrays.items()})
    expected = open_adapter(REFERENCE / "query_value").arrays
    found = open_adapter(folder).arrays
    assert found.keys() == expected.keys() and all(np.array_equal(found[key], expected[key]) for key in expected)


def test_a_file_of_pytorch_is_read_without_pickle(tmp_path):
    folder = copy_reference(tmp_path / "a")
    arrays = mx.load(str(folder / "adapter_model.safetensors"))
    write_pt(folder / "adapter_model.bin", {name: np.array(array.astype(mx.float32)) for name, array in arrays.items()})
    (folder / "adapter_model.safetensors").unlink()
    expected = open_adapter(REFERENCE / "query_value").arrays
    assert all(np.array_equal(array, expected[name]) for name, array in open_adapter(folder).arrays.items())


NOT_READ = {
    "DoRA": ({"use_dora": True}, "q_proj needs A, B and magnitudes, and lacks one of them; the file is damaged"),
    "another method": ({"peft_type": "IA3"}, "peft_type is 'IA3', and of PEFT's adapters this library reads LORA"),
    "PiSSA": ({"init_lora_weights": "pissa_niter_4"}, "'pissa_niter_4', which changes the weights of .*; save it"),
    "OLoRA": ({"init_lora_weights": "olora"}, "init_lora_weights is 'olora', which changes the weights of the base"),
    "CorDA": ({"init_lora_weights": "corda"}, "init_lora_weights is 'corda', which changes the weights of the base"),
    "biases": ({"bias": "lora_only"}, "bias is 'lora_only', and trained biases of the base are not read"),
    "layers": ({"modules_to_save": ["proj_out"]}, r"modules_to_save is \[\"proj_out\"\]: it holds entire layers"),
    "GPT-2": ({"fan_in_fan_out": True}, "fan_in_fan_out is true: it belongs to layers that Whisper does not have"),
    "tomorrow": ({"use_xora": True}, "use_xora is true: this library does not know what it computes then"),
    "rank": ({"r": 3}, "q_proj have the shapes .*, but adapter_config.json gives them rank 3"),
    "no rank": ({"r": "8"}, r"damaged \(r is '8'\)"),
    "alpha": ({"lora_alpha": 0}, "`?scale`? must be above 0, got 0"),
    "pattern": ({"alpha_pattern": {"q_proj(": 3}}, "alpha_pattern has 'q_proj\\(', which is not a regular expression"),
}  # fmt: skip


@pytest.mark.parametrize("case", NOT_READ)
def test_a_configuration_that_is_not_plain_lora_is_refused_naming_the_key(case, tmp_path):
    config, message = NOT_READ[case]
    folder = copy_reference(tmp_path / "a", **config)
    with pytest.raises(AdapterError, match=message) as error:
        open_adapter(folder)
    assert str(error.value).startswith(str(folder)) and "\n" not in str(error.value)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-50])


WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
DAMAGED = {
    "no configuration": (lambda at: (at / CONFIG).unlink(), "an adapter of PEFT without its adapter_config.json"),
    "no weights": (lambda at: (at / WEIGHTS).unlink(), "an adapter of PEFT without its adapter_model.safetensors"),
    "not JSON": (lambda at: (at / CONFIG).write_text("{"), "damaged"),
    "no object": (lambda at: (at / CONFIG).write_text("[]"), "it should be a JSON object"),
    "cut short": (lambda at: cut(at / WEIGHTS), "damaged or cut short"),
    "an entire layer": (
        lambda at: change_arrays(at, **{"base_model.model.proj_out.weight": mx.ones((2, 2))}),
        "base_model.model.proj_out.weight is not a LoRA array of a linear layer in Whisper's blocks",
    ),
    "DoRA": (
        lambda at: change_arrays(at, **{f"{QUERY}.lora_magnitude_vector": mx.ones((128,))}),
        "lora_magnitude_vector is not a LoRA array of a linear layer",
    ),
    "half": (
        lambda at: change_arrays(at, **{f"{QUERY}.lora_B.weight": None}),
        "model.decoder.layers.0.self_attn.q_proj needs A and B, and lacks one of them",
    ),
    "not finite": (
        lambda at: change_arrays(at, **{f"{QUERY}.lora_A.weight": mx.full((2, 128), mx.nan)}),
        "hold numbers that are not finite",
    ),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_folder_is_one_line(case, tmp_path):
    damage, message = DAMAGED[case]
    folder = copy_reference(tmp_path / "a")
    damage(folder)
    with pytest.raises(AdapterError, match=message) as error:
        open_adapter(folder)
    assert str(error.value).startswith(str(folder)) and "\n" not in str(error.value)


def test_another_base_is_found_out_by_the_layers(tmp_path):
    model = small_model()
    deep = write_peft_folder(tmp_path / "deep", layers=3, base_model_name_or_path="someone/whisper")
    with pytest.raises(
        AdapterError, match=r"deep: this adapter \(trained on someone/whisper\) .* has no layer for dec"
    ):
        load_adapter(model, open_adapter(deep), "small")
    thin = write_peft_folder(tmp_path / "thin", width=32)
    with pytest.raises(
        AdapterError, match=r"\(its base is not named\) does not fit the model: .* shape \(32, 2\), and"
    ):
        load_adapter(model, open_adapter(thin), "small")
    assert not adapter_modules(model)
    with pytest.raises(AdapterError, match=r"thin: this adapter does not name its base: give the base with --model$"):
        find_model(None, open_adapter_config(thin), thin)


def test_commands_take_a_folder_for_an_adapter(tmp_path, model_folder, clips_folder, run_main, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = write_peft_folder(tmp_path / "peft")
    adapter = ("--adapter-file", folder, "--model", model_folder)
    assert run_main(fuse, *adapter).code == 0
    short = ("--data", clips_folder, "--sample-len", 4, "--temperature-increment-on-fallback", "None")
    tested = run_main(lora, "--test", *adapter, *short)
    assert tested.code == 0 and tested.out.startswith(f"Loading model {model_folder}\n") and "Test loss" in tested.out
    fused = run_main(lora, "--test", "--model", "fused_model", *short)
    assert fused.out.splitlines()[-1] == tested.out.splitlines()[-1]


def test_training_continues_from_a_folder_and_leaves_an_adapter_that_knows_its_base(
    tmp_path, model_folder, clips_folder, run_main, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    folder = write_peft_folder(tmp_path / "peft")
    quick = ("--iters", 2, "--batch-size", 2, "--audio-context", 1.5, "--pack", 0, "--sample-len", 4)
    given = ("--train", "--model", model_folder, "--data", clips_folder, *quick, "--resume-adapter-file", folder)
    outcome = run_main(lora, *given)
    assert outcome.code == 0, outcome.err
    config = read_adapter_config("adapters_last.npz")
    assert config.settings == LoRAConfig(rank=2, scale=2.0, targets=("attn.query", "attn.value"))
    assert (config.language, config.base.name) == ("en", str(model_folder)) and config.base.fingerprint
