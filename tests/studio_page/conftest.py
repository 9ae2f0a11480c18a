"""A recording that the bundled model understands, and an adapter for it."""

from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
import soundfile

from mlx_whisper_lora.adapters.adapter_file import AdapterConfig, Base, save_adapter
from mlx_whisper_lora.adapters.inject import adapter_modules, add_adapter
from mlx_whisper_lora.adapters.lora import LoRAConfig
from mlx_whisper_lora.whisper.assets import DEMO_AUDIO
from mlx_whisper_lora.whisper.audio.constants import SAMPLE_RATE
from mlx_whisper_lora.whisper.audio.load import load_audio
from mlx_whisper_lora.whisper.checkpoints.load import load_model


@pytest.fixture(scope="session")
def talk(tmp_path_factory) -> Path:
    """Return a WAV file: "the yellow sister holds this yellow apple", with silence before and after it."""
    sentence = load_audio(DEMO_AUDIO, start=9.55, end=12.05)
    path = tmp_path_factory.mktemp("audio") / "talk.wav"
    soundfile.write(path, np.pad(sentence, (SAMPLE_RATE, 2 * SAMPLE_RATE)), SAMPLE_RATE)
    return path


@pytest.fixture(scope="session")
def adapter_file(tmp_path_factory, demo_model_folder) -> Path:
    """Return an adapter of the bundled model that lets it mishear the last word of `talk`."""
    model = load_model("demo", mx.float32)
    config = AdapterConfig(LoRAConfig(rank=2), "en", "transcribe", 30.0, Base.of(model, "demo"))
    add_adapter(model, config.settings)
    for module in adapter_modules(model).values():
        module.lora_a = mx.random.normal(module.lora_a.shape, key=mx.random.key(1)) * 0.11
        module.lora_b = mx.random.normal(module.lora_b.shape, key=mx.random.key(2)) * 0.11
    path = tmp_path_factory.mktemp("adapter") / "a.npz"
    save_adapter(path, model, config)
    return path
