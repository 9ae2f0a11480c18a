"""Adapters beside PEFT: one that was written here gives the same logits there, and one of PEFT the same here."""

from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import WhisperForConditionalGeneration

from mlx_whisper_lora.adapters.adapter_file import AdapterConfig, Base, load_adapter, read_adapter, save_adapter
from mlx_whisper_lora.adapters.dora import DoRAConfig
from mlx_whisper_lora.adapters.inject import adapter_modules, add_adapter
from mlx_whisper_lora.adapters.lora import LoRAConfig
from mlx_whisper_lora.adapters.open import open_adapter
from mlx_whisper_lora.adapters.peft import write_peft
from mlx_whisper_lora.whisper.audio.log_mel import log_mel_spectrogram
from mlx_whisper_lora.whisper.checkpoints.hf_export import save_hf_model
from mlx_whisper_lora.whisper.checkpoints.load import load_model
from mlx_whisper_lora.whisper.model.whisper import Whisper
from tests.parity.pairs import DEMO, windows

PROMPT = [50258, 50259, 50359, 50363]
OURS = {
    "all": LoRAConfig(rank=4, scale=1.5),
    "some": LoRAConfig(rank=2, scale=0.7, layers=1, targets=("attn.key", "cross_attn.out", "mlp1")),
    "dora": DoRAConfig(rank=3, scale=1.5, layers=2, targets=("attn.query", "mlp2")),
    "decoder": LoRAConfig(rank=3, encoder_layers=0, targets=("cross_attn.value",)),
}
THEIRS = {
    "plain": {"r": 4, "lora_alpha": 6, "target_modules": ["q_proj", "v_proj", "fc2"]},
    "stabilized": {
        "r": 9,
        "lora_alpha": 6,
        "use_rslora": True,
        "target_modules": "all-linear",
        "exclude_modules": ["proj_out"],
    },
    "some blocks": {"r": 4, "target_modules": ["k_proj"], "layers_to_transform": [0, 2], "layers_pattern": "layers"},
    "patterns": {
        "r": 2,
        "target_modules": ["q_proj", "fc1"],
        "rank_pattern": {"fc1": 5},
        "alpha_pattern": {"q_proj": 3},
    },
    "dora": {"r": 4, "lora_alpha": 6, "use_dora": True, "target_modules": ["k_proj", "fc1"]},
    "orthogonal": {"r": 4, "target_modules": ["out_proj"], "init_lora_weights": "orthogonal"},
}


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    """The bundled model as a folder of transformers."""
    folder = tmp_path_factory.mktemp("hf")
    save_hf_model(load_model(DEMO, mx.float32), folder)
    return folder


def in_transformers(base: Path) -> WhisperForConditionalGeneration:
    return WhisperForConditionalGeneration.from_pretrained(base, dtype=torch.float32).eval()


def frames() -> mx.array:
    return log_mel_spectrogram(windows(DEMO)[0], 80)


def our_logits(model: Whisper) -> np.ndarray:
    return np.array(model(frames()[None], mx.array([PROMPT])))


@torch.no_grad()
def their_logits(model: torch.nn.Module) -> np.ndarray:
    mel = torch.from_numpy(np.array(frames())).T[None]
    return model(input_features=mel, decoder_input_ids=torch.tensor([PROMPT])).logits.numpy()


@pytest.mark.parametrize("case", OURS)
def test_an_exported_adapter_gives_the_same_logits_in_peft(case, base, tmp_path):
    model = load_model(DEMO, mx.float32)
    plain = our_logits(model)
    config = AdapterConfig(OURS[case], "en", "transcribe", 30.0, Base.of(model, DEMO))
    add_adapter(model, config.settings)
    for module in adapter_modules(model).values():
        module.lora_b = mx.random.normal(module.lora_b.shape, key=mx.random.key(1)) * 0.1
        if "magnitude" in module:
            module.magnitude = module.magnitude * mx.linspace(0.8, 1.2, module.magnitude.size)
    save_adapter(tmp_path / "a.npz", model, config)
    write_peft(read_adapter(tmp_path / "a.npz"), tmp_path / "peft")
    theirs = PeftModel.from_pretrained(in_transformers(base), str(tmp_path / "peft"))
    found = their_logits(theirs.base_model.model)
    assert np.abs(found - plain).max() > 0.1
    np.testing.assert_allclose(found, our_logits(model), atol=1e-4)


@pytest.mark.parametrize("case", THEIRS)
def test_an_adapter_of_peft_gives_the_same_logits_here(case, base, tmp_path):
    torch.manual_seed(3)
    theirs = get_peft_model(in_transformers(base), LoraConfig(**THEIRS[case])).eval()
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            if "magnitude" in name:
                parameter.mul_(1 + 0.2 * torch.randn_like(parameter))
            elif "lora_" in name:
                parameter.normal_(std=0.1)
    theirs.save_pretrained(tmp_path / "peft")
    model = load_model(DEMO, mx.float32)
    plain = our_logits(model)
    load_adapter(model, open_adapter(tmp_path / "peft"), DEMO)
    found = our_logits(model)
    assert np.abs(found - plain).max() > 0.1
    np.testing.assert_allclose(found, their_logits(theirs.base_model.model), atol=1e-4)
