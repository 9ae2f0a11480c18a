"""Each method of adaptation, from training to use."""

import mlx.core as mx
import numpy as np
import pytest

from mlx_whisper_lora.adapters.adapter_file import read_adapter
from mlx_whisper_lora.adapters.bitfit import BitFitConfig
from mlx_whisper_lora.adapters.bottleneck import BottleneckConfig
from mlx_whisper_lora.adapters.dora import DoRAConfig
from mlx_whisper_lora.adapters.errors import AdapterError
from mlx_whisper_lora.adapters.inject import adapter_modules
from mlx_whisper_lora.adapters.loading import load_model
from mlx_whisper_lora.adapters.lora import LoRAConfig
from mlx_whisper_lora.adapters.methods import METHODS, method_name
from mlx_whisper_lora.adapters.reprogramming import ReprogrammingConfig
from mlx_whisper_lora.adapters.soft_prompt import SoftPromptConfig
from mlx_whisper_lora.adapters.weights import DecoderConfig, EncoderConfig, FullConfig
from mlx_whisper_lora.fuse import fuse
from mlx_whisper_lora.training.callbacks import Callback
from mlx_whisper_lora.training.finetune import finetune
from mlx_whisper_lora.training.options import TrainingOptions
from mlx_whisper_lora.training.run_options import RunOptions
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.option import OptionError
from tests.support.clips import noise_examples

SETTINGS = (
    LoRAConfig(rank=4, alpha=4, rank_stabilized=True, plus_ratio=4.0, layers=1),
    DoRAConfig(rank=4, layers=1),
    BottleneckConfig(dim=8, layers=1),
    BitFitConfig(),
    EncoderConfig(),
    DecoderConfig(),
    FullConfig(),
    ReprogrammingConfig(adapter_dim=4),
    SoftPromptConfig(encoder_length=4, decoder_length=4),
)
# Of two. The other methods train the start of the encoder.
CACHED_BLOCKS = {"lora": 1, "dora": 1, "adapter": 1, "decoder": 2}
each_method = pytest.mark.parametrize("settings", SETTINGS, ids=method_name)


class Notes(Callback):
    def start(self, start):
        self.notes = start.notes
        self.rate = start.training.learning_rate


def trained(folder, model_folder, settings, resume=None, callback=None, **training) -> Whisper:
    """Train a small model with a method. Return it with its adapter."""
    options = RunOptions(str(model_folder), adapter_file=folder / "a.npz", resume_adapter_file=resume)
    quick = {"iters": 3, "warmup": 0, "learning_rate": 1e-2, "audio_context": 1.0, "timestamps_share": 0.0} | training
    model = load_model(model_folder, dtype=mx.float32)
    finetune(model, noise_examples(4), [], options, TrainingOptions(**quick), settings, callback)
    return model


def logits(model: Whisper) -> np.ndarray:
    mel = mx.array(noise_examples(1)[0].mel[None].astype(np.float32))
    return np.array(model(mel, mx.array([[50258, 50259, 50359, 50363]])))


def test_all_methods_are_here():
    assert [method_name(settings) for settings in SETTINGS] == [name for name in METHODS if name != "head"]


@each_method
def test_a_trained_adapter_is_saved_used_and_resumed(settings, tmp_path, model_folder):
    expected = logits(trained(tmp_path, model_folder, settings))
    assert np.abs(expected - logits(load_model(model_folder, dtype=mx.float32))).max() > 0.05
    used = load_model(model_folder, adapter_file=tmp_path / "a.npz", dtype=mx.float32)
    np.testing.assert_allclose(logits(used), expected, atol=1e-3)
    assert bool(adapter_modules(used)) == bool(METHODS[method_name(settings)].unfused)
    assert read_adapter(tmp_path / "a.npz").config.settings == settings
    resumed = trained(tmp_path, model_folder, None, resume=tmp_path / "a.npz", iters=1, learning_rate=1e-9)
    np.testing.assert_allclose(logits(resumed), expected, atol=1e-3)


@each_method
def test_the_encoder_cache_changes_nothing(settings, tmp_path, model_folder):
    notes = Notes()
    cached = trained(tmp_path, model_folder, settings, callback=notes, encoder_cache=1.0)
    blocks = CACHED_BLOCKS.get(method_name(settings))
    assert [note for note in notes.notes if "computed once" in note] == (
        [f"encoder blocks that are computed once for each clip: the first {blocks}"] if blocks else []
    )
    (tmp_path / "plain").mkdir()
    plain = trained(tmp_path / "plain", model_folder, settings, encoder_cache=0)
    np.testing.assert_allclose(logits(cached), logits(plain), atol=0.05)


@pytest.mark.parametrize("settings", [SETTINGS[1], *SETTINGS[6:]], ids=method_name)
def test_gradient_checkpointing_changes_nothing(settings, tmp_path, model_folder):
    plain = trained(tmp_path, model_folder, settings)
    (tmp_path / "checkpointed").mkdir()
    checkpointed = trained(tmp_path / "checkpointed", model_folder, settings, grad_checkpoint=True)
    np.testing.assert_allclose(logits(checkpointed), logits(plain), atol=1e-3)


@pytest.mark.parametrize("settings", [SETTINGS[1], SETTINGS[6]], ids=method_name)
def test_fuse_writes_a_plain_model(settings, tmp_path, model_folder):
    expected = logits(trained(tmp_path, model_folder, settings))
    fuse(str(tmp_path / "a.npz"), str(tmp_path / "fused"))
    np.testing.assert_allclose(logits(load_model(tmp_path / "fused", dtype=mx.float32)), expected, atol=1e-3)


@pytest.mark.parametrize(
    ("settings", "given", "expected"),
    [(LoRAConfig(layers=1), None, 1e-3), (DecoderConfig(), None, 1e-5), (DecoderConfig(), 1e-4, 1e-4)],
)
def test_a_method_has_its_own_learning_rate(settings, given, expected, tmp_path, model_folder):
    notes = Notes()
    trained(tmp_path, model_folder, settings, callback=notes, iters=1, learning_rate=given)
    assert notes.rate == expected


def test_fuse_says_why_an_adapter_stays_apart(tmp_path, model_folder):
    trained(tmp_path, model_folder, BottleneckConfig(dim=4, layers=1), iters=1)
    with pytest.raises(
        AdapterError, match=r"adapter cannot be merged into .*mlp2, because no linear layer computes the"
    ):
        fuse(str(tmp_path / "a.npz"), str(tmp_path / "fused"))


def test_a_run_resumes_with_the_method_of_its_adapter(tmp_path, model_folder):
    trained(tmp_path, model_folder, DoRAConfig(rank=2, layers=1), iters=1)
    with pytest.raises(OptionError, match="the fine_tune_type of this adapter is dora, not lora"):
        trained(tmp_path, model_folder, LoRAConfig(), resume=tmp_path / "a.npz")


def test_settings_that_choose_no_layer_are_refused(tmp_path, model_folder):
    with pytest.raises(AdapterError, match="the settings of lora choose no layer"):
        trained(tmp_path, model_folder, LoRAConfig(decoder_layers=0, targets=("cross_attn.out",)))
