"""The encoder and the decoder."""

import math

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest
from mlx.utils import tree_flatten

from mlx_whisper_lora.whisper.checkpoints.layout import from_openai
from mlx_whisper_lora.whisper.decoding.decode import decode
from mlx_whisper_lora.whisper.model.whisper import DIMENSIONS, Whisper
from tests.support.models import seeded_model, small_model, window_features, window_mels
from tests.support.references import reference, reference_arrays
from tools.references.seeded import VARIANTS, parameter_shapes, small_dims

variants = pytest.mark.parametrize("variant", VARIANTS)


@variants
def test_features_and_logits_are_openai_whispers(variant):
    model, arrays = seeded_model(variant), reference_arrays()
    features = window_features(variant)[1:2]
    tokens = mx.array([[model.dims.n_vocab - 1608, 1, 22, 333, 4444, 44444, 50000, 7]])
    logits = model.decoder(tokens, features)
    np.testing.assert_allclose(np.array(features)[0, ::50], arrays[f"features_{variant}_rows_50"], atol=1e-3)
    np.testing.assert_allclose(np.array(logits)[0, :, ::97], arrays[f"logits_{variant}_columns_97"], atol=1e-3)


@variants
def test_parameter_names_are_openai_whispers(variant):
    model = seeded_model(variant)
    shapes = parameter_shapes(small_dims(model.dims.n_vocab, model.dims.n_mels))
    names = {from_openai(name) for name in shapes}
    assert {name for name, _ in tree_flatten(model.parameters())} == names


@pytest.mark.parametrize("size", DIMENSIONS)
def test_published_sizes_have_openai_whispers_parameter_counts(size):
    model = Whisper(DIMENSIONS[size])  # arrays are lazy: nothing is allocated
    count = sum(math.prod(array.shape) for _, array in tree_flatten(model.trainable_parameters()))
    assert count == reference("sizes")[size]


@pytest.mark.parametrize("sequences", [1, 2])  # one is computed in NumPy on a CPU
@pytest.mark.parametrize("chunks", [[1] * 9, [3, 1, 1, 4], [9], [62, 1, 1, 1, 1]])  # room is made for 64 tokens
def test_cached_steps_equal_one_pass(chunks, sequences):
    model = seeded_model("multilingual")
    tokens = mx.array(np.random.default_rng(0).integers(0, model.dims.n_vocab, (sequences, sum(chunks))))
    features = model.encoder(window_mels(80)[:sequences, :400])
    cache, steps, start = model.new_cache(), [], 0
    for length in chunks:
        steps.append(model.decoder(tokens[:, start : start + length], features, cache))
        start += length
    expected = np.array(model.decoder(tokens, features))
    np.testing.assert_allclose(np.array(mx.concatenate(steps, axis=1)), expected, atol=1e-4)


def test_decoder_sees_no_later_token():
    model = seeded_model("english")
    features = model.encoder(window_mels(80)[:1, :200])
    one, other = (model.decoder(mx.array([[1, 2, 3, last]]), features) for last in (4, 5))
    np.testing.assert_allclose(np.array(one[:, :3]), np.array(other[:, :3]), atol=1e-5)


class Wrapper(nn.Module):
    """A module around an encoder or a decoder, as a method of fine-tuning may put there."""

    def __init__(self, part: nn.Module):
        super().__init__()
        self.part = part

    def __call__(self, *arguments):
        return self.part(*arguments)

    def hidden(self, *arguments, **options):
        return self.part.hidden(*arguments, **options)

    def logits(self, hidden):
        return self.part.logits(hidden)


def test_the_whole_encoder_and_decoder_can_be_wrapped():
    model = small_model()
    mel, tokens = window_mels(80)[:1, :200], mx.array([[50258, 50259, 50359, 7]])
    logits, decoded = model(mel, tokens), decode(model, mel, language="en")
    model.encoder, model.decoder = Wrapper(model.encoder), Wrapper(model.decoder)
    assert mx.array_equal(model(mel, tokens), logits)
    assert decode(model, mel, language="en")[0].tokens == decoded[0].tokens
    model.set_dtype(mx.float16)
    assert model.encode(mel).dtype == model.dtype == mx.float16


def test_asking_for_attention_scores_changes_no_output():
    model = seeded_model("english")
    features, tokens = model.encoder(window_mels(80)[:1, :200]), mx.array([[1, 2, 3]])
    plain, no_scores = model.decoder.hidden(tokens, features)
    hidden, scores = model.decoder.hidden(tokens, features, need_weights=True)
    np.testing.assert_allclose(np.array(hidden), np.array(plain), atol=1e-5)
    assert no_scores == [None, None] and [layer.shape for layer in scores] == [(1, 2, 3, 100)] * 2


def test_short_windows_are_encoded_by_their_own_length():
    features = seeded_model("english").encoder(window_mels(80)[:, :502])
    assert features.shape == (3, 251, 64)


def test_languages_follow_the_vocabulary():
    facts = {
        variant: (seeded_model(variant).is_multilingual, seeded_model(variant).num_languages) for variant in VARIANTS
    }
    assert facts == {"english": (False, 99), "multilingual": (True, 99), "v3": (True, 100)}
