"""A language that the base lacks: its token in the model, in the adapter file and in a fused model."""

import json
import warnings
from dataclasses import replace

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest
from mlx.utils import tree_flatten

from mlx_whisper_lora.adapters.adapter_file import (
    AdapterConfig,
    Base,
    load_adapter,
    read_adapter,
    save_adapter,
)
from mlx_whisper_lora.adapters.errors import AdapterError
from mlx_whisper_lora.adapters.inject import adapter_modules, add_adapter, fuse_adapter
from mlx_whisper_lora.adapters.lora import LoRAConfig
from mlx_whisper_lora.adapters.new_language import NewLanguage, borrowed_token, choose_new_language
from mlx_whisper_lora.data.batches import make_batch
from mlx_whisper_lora.training.loss import cross_entropy_loss
from mlx_whisper_lora.whisper.model.quantization import Quantization, quantize
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.option import OptionError
from tests.support.clips import noise_examples
from tests.support.models import small_model

DIVEHI = NewLanguage("dv", "si")
LORA = LoRAConfig(rank=2, layers=1, targets=("attn.query",))
DV, SI, LAST_TIME = 51865, 50322, 51864
ROW = "decoder.token_embedding.row"


def with_divehi(model: Whisper, seed: int | None = 0) -> Whisper:
    """Put an adapter with a new language into a model, as if trained, or fresh if the seed is None."""
    add_adapter(model, LORA, DIVEHI)
    if seed is not None:
        mx.random.seed(seed)
        for module in adapter_modules(model).values():
            name = "row" if "row" in module else "lora_b"
            module[name] = mx.random.normal(module[name].shape) * 0.1
    return model


def logits(model: Whisper, *tokens: int) -> np.ndarray:
    mel = mx.array(noise_examples(1)[0].mel[None].astype(np.float32))
    return np.array(model(mel, mx.array([[50258, *tokens]])).astype(mx.float32))


def saved(path, model: Whisper, base: Whisper, **changes) -> AdapterConfig:
    config = AdapterConfig(LORA, "dv", "transcribe", 30.0, Base.of(base, "base"), new_language=DIVEHI)
    save_adapter(path, model, replace(config, **changes))
    return config


@pytest.mark.parametrize("bits", [None, 4])
def test_a_fresh_token_is_read_and_scored_as_that_of_the_near_language(bits):
    base, model = small_model(), small_model()
    for each in (base, model):
        if bits:
            quantize(each, Quantization(32, bits))
    with_divehi(model, seed=None)
    assert model.tokenizer("dv").sot_sequence == (50258, DV, 50359)
    found = logits(model, DV, 50359, LAST_TIME)
    np.testing.assert_array_equal(found[..., :DV], logits(base, SI, 50359, LAST_TIME))
    np.testing.assert_allclose(found[..., DV], found[..., SI], atol=1e-4)


def test_gradients_reach_the_new_row_and_no_other():
    model = with_divehi(small_model(), seed=None)
    trained = dict(tree_flatten(model.trainable_parameters()))
    assert trained.keys() == {
        ROW, *(f"{side}.blocks.1.attn.query.lora_{x}" for side in ("encoder", "decoder") for x in "ab")
    }  # fmt: skip
    examples = [replace(each, tokens=(50258, DV, *each.tokens[2:]), prompt_length=1) for each in noise_examples(2)]
    batch = make_batch(examples)
    loss, gradients = nn.value_and_grad(model, cross_entropy_loss)(model, batch)

    def moved(by: float) -> float:
        """Return the loss after a step along the gradient."""
        embedding = model.decoder.token_embedding
        before, gradient = embedding.row, dict(tree_flatten(gradients))[ROW]
        embedding.row = before + by * gradient / mx.linalg.norm(gradient)
        loss = cross_entropy_loss(model, batch).item()
        embedding.row = before
        return loss

    slope = (moved(1e-2) - moved(-1e-2)) / 2e-2
    assert loss.item() == pytest.approx(moved(0.0))
    assert slope == pytest.approx(mx.linalg.norm(dict(tree_flatten(gradients))[ROW]).item(), rel=0.02)


def test_a_saved_adapter_has_the_row_and_the_name_and_is_loaded_bit_equal(tmp_path):
    model, base = with_divehi(small_model()), small_model()
    config = saved(tmp_path / "a.npz", model, base)
    adapter = read_adapter(tmp_path / "a.npz")
    assert adapter.config == config and adapter.arrays[ROW].shape == (64,)
    with np.load(tmp_path / "a.npz") as file:
        stored = json.loads(file["config"].tobytes())
    assert stored["version"] == 4 and stored["new_language"] == {"code": "dv", "near": "si"}
    load_adapter(base, adapter, "base")
    np.testing.assert_array_equal(logits(base, DV, 50359), logits(model, DV, 50359))


@pytest.mark.parametrize("bits", [None, 8])
def test_fused_it_is_a_plain_model_with_one_row_more(bits):
    model = small_model()
    if bits:
        quantize(model, Quantization(32, bits))
    rows = np.array(model.decoder.token_embedding(mx.arange(DV)))
    with_divehi(model)
    expected, row = logits(model, DV, 50359), np.array(model.decoder.token_embedding.row)
    assert fuse_adapter(model) == []
    assert type(model.decoder.token_embedding) is nn.Embedding and model.dims.n_vocab == DV + 1
    weight = np.array(model.decoder.token_embedding.weight)
    np.testing.assert_array_equal(weight[:DV], rows)
    np.testing.assert_array_equal(weight[DV], row)
    np.testing.assert_allclose(logits(model, DV, 50359), expected, atol=1e-4)
    assert (model.num_languages, model.tokenizer("dv").timestamp_end) == (99, DV)


@pytest.mark.parametrize(
    "stored", [None, "dv", {"code": "dv"}, {"code": "dv", "near": "xx"}, {"code": "<|dv|>", "near": "si"}]
)
def test_a_damaged_new_language_is_refused(stored, tmp_path):
    saved(tmp_path / "a.npz", with_divehi(small_model()), small_model())
    with np.load(tmp_path / "a.npz") as file:
        arrays = dict(file)
    config = json.loads(arrays["config"].tobytes()) | {"new_language": stored}
    arrays["config"] = np.frombuffer(json.dumps(config).encode(), np.uint8)
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(AdapterError, match=r"its (new_language|language) is"):
        read_adapter(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        (NewLanguage("dv", "yue"), "this model does not know language 'yue'"),
        (NewLanguage("te", "si"), "this model has the language 'te' already"),
    ],
)
def test_a_new_language_that_the_base_cannot_have_is_refused(stored, message, tmp_path):
    saved(tmp_path / "a.npz", with_divehi(small_model()), small_model(), new_language=stored)
    with pytest.raises(ValueError, match=message):
        load_adapter(small_model(), tmp_path / "a.npz", "base")


def test_a_file_without_the_row_is_refused_and_the_model_stays_plain(tmp_path):
    base = small_model()
    saved(tmp_path / "a.npz", with_divehi(small_model()), base)
    adapter = read_adapter(tmp_path / "a.npz")
    del adapter.arrays[ROW]
    with pytest.raises(AdapterError, match=rf"the array {ROW} is missing"):
        load_adapter(base, adapter, "base")
    assert base.vocabulary.new_language is None and not adapter_modules(base)


@pytest.mark.parametrize(
    ("n_vocab", "code", "near", "message"),
    [
        (51865, "te", None, "--new-language: this model knows Telugu: give --language te alone"),
        (51866, "yue", None, "--new-language: this model knows Cantonese: give --language yue alone"),
        (51864, "dv", "si", "--new-language requires a multilingual model, and this one is English-only"),
        (51865, "xyz", None, "--new-language xyz: no relative is known; give a near one as --language, such as hi"),
    ],
)
def test_a_language_that_cannot_be_new_is_refused(n_vocab, code, near, message):
    with pytest.raises(OptionError) as error:
        choose_new_language(small_model(n_vocab=n_vocab), code, near)
    assert error.value.with_flags() == message


def test_the_language_to_start_from_is_the_given_one_or_the_nearest():
    model = small_model()
    assert choose_new_language(model, "dv", None) == NewLanguage("dv", "si")
    assert choose_new_language(model, "dv", "Hindi") == NewLanguage("dv", "hi")
    assert choose_new_language(model, "yue", "zh") == NewLanguage("yue", "zh")  # it is large-v3's, and not this one's
    with pytest.raises(ValueError, match="unknown language 'xx'"):
        choose_new_language(model, "dv", "xx")
    fuse_adapter(with_divehi(model))
    with pytest.raises(OptionError, match="this model has a new language already, 'dv'"):
        choose_new_language(model, "or", None)


def test_a_base_without_the_row_borrows_the_token_of_the_near_language():
    model = small_model()
    with warnings.catch_warnings(action="error"), borrowed_token(model, DIVEHI):
        assert model.tokenizer("dv").language_token == DV
        np.testing.assert_array_equal(logits(model, DV)[..., :DV], logits(small_model(), SI))
    assert type(model.decoder.token_embedding) is nn.Embedding
