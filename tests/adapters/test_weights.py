"""Plain fine-tuning of the encoder, of the decoder or of both."""

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest
from mlx.utils import tree_flatten

from mlx_whisper_lora.adapters.errors import AdapterError
from mlx_whisper_lora.adapters.inject import adapter_modules, add_adapter, count_parameters, fuse_adapter
from mlx_whisper_lora.adapters.new_language import NewLanguage
from mlx_whisper_lora.adapters.weights import DecoderConfig, EncoderConfig, FullConfig
from mlx_whisper_lora.whisper.model.quantization import Quantization, quantize
from mlx_whisper_lora.whisper.model.whisper import DIMENSIONS, Whisper
from tests.support.models import small_model


@pytest.mark.parametrize(
    ("settings", "sides"),
    [(EncoderConfig(), ["encoder"]), (DecoderConfig(), ["decoder"]), (FullConfig(), ["encoder", "decoder"])],
)
def test_all_weights_of_the_sides_have_gradients_and_no_others(settings, sides):
    model = small_model()
    expected = {name for name, _ in tree_flatten(model.parameters()) if name.split(".")[0] in sides}
    add_adapter(model, settings)
    mel, tokens = mx.random.normal((1, 100, 80)), mx.array([[50258, 50259]])
    gradients = tree_flatten(nn.value_and_grad(model, lambda model: model(mel, tokens).square().mean())(model)[1])
    assert {name for name, _ in gradients} == expected
    assert all(mx.any(array).item() for _, array in gradients)


def test_base_has_the_published_numbers_of_parameters():
    """72.6M in all, as transformers counts the trainable ones: encoder positions are left out."""
    model = Whisper(DIMENSIONS["base"])  # arrays are lazy: nothing is allocated
    add_adapter(model, FullConfig())
    counts = count_parameters(model)
    assert (counts.encoder, counts.decoder) == (19_822_592, 52_003_328)
    assert counts.encoder + counts.decoder + 1500 * 512 == 72_593_920


def test_positions_of_the_encoder_that_a_checkpoint_trained_stay_frozen():
    model = small_model()
    model.encoder.positional_embedding = mx.zeros((1500, 64))
    add_adapter(model, FullConfig())
    assert "positional_embedding" not in model.encoder.trainable_parameters()
    assert "positional_embedding" in model.decoder.trainable_parameters()


def test_the_base_keeps_its_weights_and_fusing_keeps_the_trained_ones():
    model = small_model()
    plain = model.encoder
    add_adapter(model, EncoderConfig())
    model.encoder.ln_post.bias = model.encoder.ln_post.bias + 1
    trained = np.array(model.encoder.ln_post.bias)
    np.testing.assert_allclose(trained - np.array(plain.ln_post.bias), 1, atol=1e-6)
    assert fuse_adapter(model) == [] and not adapter_modules(model)
    np.testing.assert_array_equal(model.encoder.ln_post.bias, trained)


def test_a_quantized_model_and_a_new_language_are_refused():
    model = small_model()
    with pytest.raises(AdapterError, match="decoder trains all tokens, and a new language has one of its own"):
        add_adapter(model, DecoderConfig(), NewLanguage("dv", "si"))
    quantize(model, Quantization(32, 4))
    with pytest.raises(AdapterError, match="all weights of the encoder cannot be trained in a quantized model"):
        add_adapter(model, EncoderConfig())
