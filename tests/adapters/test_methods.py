"""A method that is not LoRA: a trained change of the log-mel, around the entire encoder."""

from dataclasses import dataclass

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest

from mlx_whisper_lora.adapters.adapter_file import load_adapter, read_adapter_config
from mlx_whisper_lora.adapters.errors import AdapterError
from mlx_whisper_lora.adapters.inject import adapter_modules, fuse_adapter
from mlx_whisper_lora.adapters.loading import load_model
from mlx_whisper_lora.adapters.method import Method
from mlx_whisper_lora.adapters.methods import METHODS
from mlx_whisper_lora.fuse import fuse
from mlx_whisper_lora.training.finetune import finetune
from mlx_whisper_lora.training.options import TrainingOptions
from mlx_whisper_lora.training.run_options import RunOptions
from mlx_whisper_lora.whisper.checkpoints.load import load_model as load_base
from mlx_whisper_lora.whisper.decoding.decode import decode
from mlx_whisper_lora.whisper.option import option
from tests.support.clips import noise_examples


@dataclass(frozen=True)
class ShiftConfig:
    bands: int = option(80, "Mel bands that are shifted.")


class ShiftedEncoder(nn.Module):
    """Adds a trained number to each mel band before the frozen encoder."""

    def __init__(self, encoder: nn.Module, bands: int):
        super().__init__()
        self.encoder = encoder
        self.encoder.freeze()
        self.shift = mx.zeros((bands,))

    def __call__(self, mel: mx.array, first: int = 0) -> mx.array:
        return self.encoder(mel + self.shift.astype(mel.dtype), first)


class Shift(Method):
    Config = ShiftConfig
    about = "a number for each mel band"
    unfused = "no layer computes it"

    def wrap(self, model, config):
        return {"encoder": ShiftedEncoder(model.encoder, config.bands)}


@pytest.fixture
def adapter_file(tmp_path, model_folder, monkeypatch):
    """An adapter of this method, trained for some steps."""
    monkeypatch.setitem(METHODS, "shift", Shift())
    options = RunOptions(model=str(model_folder), adapter_file=str(tmp_path / "a.npz"))
    training = TrainingOptions(iters=4, batch_size=2, warmup=0, learning_rate=0.05, audio_context=1.0)
    model = load_base(model_folder, mx.float32)
    finetune(model, noise_examples(4), noise_examples(1), options, training, ShiftConfig())
    return tmp_path / "a.npz"


def encoded(model) -> np.ndarray:
    mel = mx.array(noise_examples(1)[0].mel[None].astype(np.float32))
    return np.array(model.encode(mel))


def test_it_is_trained_saved_and_loaded(adapter_file, model_folder):
    with np.load(adapter_file) as file:
        assert sorted(file.files) == ["clips", "config", "encoder.shift"]
        assert np.abs(file["encoder.shift"]).min() > 0
    assert read_adapter_config(adapter_file).settings == ShiftConfig()
    base, adapted = load_base(model_folder, mx.float32), load_base(model_folder, mx.float32)
    load_adapter(adapted, adapter_file, str(model_folder))
    assert np.abs(encoded(adapted) - encoded(base)).max() > 0.01


def test_a_model_with_it_decodes_and_keeps_the_module(adapter_file, model_folder):
    model = load_model(model_folder, adapter_file=adapter_file, dtype=mx.float32)
    assert [*adapter_modules(model)] == ["encoder"] == fuse_adapter(model)
    result = decode(model, mx.array(noise_examples(1)[0].mel), language="en", sample_len=4)
    assert len(result.tokens) > 0


def test_it_cannot_be_fused_and_the_error_says_so(adapter_file, tmp_path):
    with pytest.raises(AdapterError) as caught:
        fuse(str(adapter_file), str(tmp_path / "fused"))
    assert str(caught.value) == (
        f"{adapter_file}: shift cannot be merged into encoder, because no layer computes it; use transcribe "
        "--adapter-file"
    )
    assert not (tmp_path / "fused").exists()


def test_a_file_of_a_method_that_is_missing_is_one_clear_line(adapter_file, monkeypatch):
    monkeypatch.delitem(METHODS, "shift")
    with pytest.raises(AdapterError, match=r"its method is 'shift', and this library knows lora"):
        read_adapter_config(adapter_file)
