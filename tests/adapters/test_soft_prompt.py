"""Trained vectors before the input of encoder and decoder."""

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest
from mlx.utils import tree_flatten

from mlx_whisper_lora.adapters.inject import add_adapter, fuse_adapter
from mlx_whisper_lora.adapters.new_language import NewLanguage
from mlx_whisper_lora.adapters.soft_prompt import SoftPromptConfig
from mlx_whisper_lora.whisper.decoding.decode import decode_features
from mlx_whisper_lora.whisper.decoding.options import DecodingOptions
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.option import OptionError
from tests.support.models import small_model

PROMPT_TOKENS = mx.array([[11, 12, 13]])
TOKENS = mx.array([[50258, 50259, 50359, 50363, 7, 8]])


def prompted(**settings: int) -> Whisper:
    model = small_model()
    mx.random.seed(0)
    add_adapter(model, SoftPromptConfig(**settings))
    for side in (model.encoder, model.decoder):
        if "prompt" in side:
            side.prompt = mx.random.normal(side.prompt.shape)
    return model.eval()


def features(model: Whisper, count: int = 1) -> mx.array:
    return model.encode(mx.random.normal((count, 100, 80), key=mx.random.key(1)))


def test_the_decoder_reads_the_prompt_as_if_it_were_tokens():
    """Without positions, vectors of tokens before a text are those tokens before it."""
    base, model = small_model(), prompted(encoder_length=0, decoder_length=3)
    audio = features(base)
    for each in (base, model):
        each.decoder.positional_embedding = mx.zeros_like(base.decoder.positional_embedding)
    model.decoder.prompt = base.decoder.token_embedding(PROMPT_TOKENS[0])
    expected, expected_scores = base.decoder.hidden(
        mx.concatenate([PROMPT_TOKENS, TOKENS], axis=1), audio, need_weights=True
    )
    found, scores = model.decoder.hidden(TOKENS, audio, need_weights=True)
    np.testing.assert_allclose(found, expected[:, 3:], atol=1e-4)
    for score, wanted in zip(scores, expected_scores, strict=True):
        np.testing.assert_allclose(score, wanted[:, :, 3:], atol=1e-4)  # word times come from these


def test_the_positions_of_tokens_stay_those_of_a_text_without_a_prompt():
    base, model = small_model(), prompted(encoder_length=0, decoder_length=3)
    np.testing.assert_array_equal(model.decoder.embed(TOKENS, 0, None), base.decoder.embed(TOKENS, 0, None))
    longest = mx.full((1, base.dims.n_text_ctx), 7)
    assert model.decoder(longest, features(base)).shape == (1, base.dims.n_text_ctx, base.dims.n_vocab)


def test_token_by_token_equals_all_at_once_also_after_padding():
    model = prompted(decoder_length=3)
    audio, length = features(model), TOKENS.shape[1]
    expected = model.decoder(TOKENS, audio)
    cache = model.new_cache()
    steps = [model.decoder(TOKENS[:, i : i + 1], audio, cache) for i in range(length)]
    np.testing.assert_allclose(mx.concatenate(steps, axis=1), expected, atol=1e-3)

    cache = model.new_cache(mx.array([0, 2]))
    audio = mx.concatenate([audio, audio])
    rows = mx.concatenate([mx.concatenate([TOKENS[:, :2], TOKENS], axis=1), mx.pad(TOKENS, [(0, 0), (2, 0)])])
    first = model.decoder(rows[:, :5], audio, cache)[1, 2:]
    later = [model.decoder(rows[:, i : i + 1], audio, cache)[1] for i in range(5, length + 2)]
    np.testing.assert_allclose(mx.concatenate([first, *later]), expected[0], atol=1e-3)


@pytest.mark.parametrize("options", [DecodingOptions(), DecodingOptions(beam_size=3)], ids=["greedy", "beam"])
def test_windows_decoded_together_have_the_transcripts_of_each_alone(options):
    model = prompted()
    audio, prompts = features(model, 3), [None, [7, 8, 9], [10]]
    together = decode_features(model, audio, options, prompts=prompts)
    alone = [decode_features(model, audio[i : i + 1], options, prompts=prompts[i : i + 1])[0] for i in range(3)]
    assert [each.tokens for each in together] == [each.tokens for each in alone]
    assert [each.tokens for each in together] != [
        each.tokens for each in decode_features(small_model(), audio, options)
    ]


def test_every_state_of_the_window_attends_to_the_prompt_of_the_encoder_and_keeps_its_position():
    base, model = small_model(), prompted(encoder_length=5, decoder_length=0)
    mel = mx.random.normal((2, 100, 80))
    found = model.encoder(mel)
    assert found.shape == (2, 50, 64)
    states = mx.concatenate([mx.stack([model.encoder.prompt] * 2), base.encoder.lower(mel)], axis=1)
    np.testing.assert_allclose(found, base.encoder.upper(states)[:, 5:], atol=1e-5)
    assert np.abs(np.array(found) - np.array(base.encoder(mel))).max(axis=(0, 2)).min() > 1e-3


def test_the_prompts_alone_are_trained():
    model = prompted(encoder_length=4, decoder_length=2)
    mel = mx.random.normal((1, 100, 80))
    gradients = tree_flatten(nn.value_and_grad(model, lambda model: model(mel, TOKENS).square().mean())(model)[1])
    assert {name: array.shape for name, array in gradients} == {"encoder.prompt": (4, 64), "decoder.prompt": (2, 64)}
    assert all(mx.any(array).item() for _, array in gradients)


def test_they_go_with_a_new_language_and_stay_in_the_model():
    model = small_model()
    add_adapter(model, SoftPromptConfig(), NewLanguage("dv", "si"))
    names = {name for name, _ in tree_flatten(model.trainable_parameters())}
    assert names == {"encoder.prompt", "decoder.prompt", "decoder.token_embedding.row"}
    assert {*fuse_adapter(model)} == {"encoder", "decoder"}
    assert type(model.decoder.token_embedding) is nn.Embedding and model.dims.n_vocab == 51866


def test_a_prompt_on_neither_side_is_refused():
    with pytest.raises(OptionError, match="encoder_length and decoder_length are both 0"):
        SoftPromptConfig(encoder_length=0, decoder_length=0)
