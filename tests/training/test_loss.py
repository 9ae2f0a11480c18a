"""The loss, against transformers' numbers (tools/references/make_loss.py) and by hand."""

import json
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest
from mlx.utils import tree_flatten

from mlx_whisper_lora.data.batches import Batch, make_batch
from mlx_whisper_lora.data.dataset import Example
from mlx_whisper_lora.training import loss
from mlx_whisper_lora.training.loss import cross_entropy_loss, loss_from_features
from tests.support.models import small_model

REFERENCE = json.loads((Path(__file__).parent / "reference" / "loss.json").read_text())


@pytest.fixture(scope="module")
def reference_model():
    from tests.support.models import seeded_model

    return seeded_model("multilingual")


@pytest.fixture(scope="module")
def reference_examples() -> list[Example]:
    mels = np.random.default_rng(11).standard_normal((3, 3000, 80)).astype(np.float16)
    labels = [(tuple(each["tokens"]), each["prompt_length"]) for each in REFERENCE["examples"]]
    return [Example(mel, *label) for mel, label in zip(mels, labels, strict=True)]


def mean_loss(model, batch: Batch) -> mx.array:
    return cross_entropy_loss(model, batch) / len(batch.labels)


def test_loss_is_transformers_with_minus_100_on_prompt_and_padding(reference_model, reference_examples):
    batch = make_batch(reference_examples)
    assert mean_loss(reference_model, batch).item() == pytest.approx(REFERENCE["loss"], abs=1e-4)
    for example, expected in zip(reference_examples, REFERENCE["losses"], strict=True):
        assert mean_loss(reference_model, make_batch([example])).item() == pytest.approx(expected, abs=1e-4)


@pytest.mark.slow
def test_gradients_are_transformers(reference_model, reference_examples):
    batch = make_batch(reference_examples)
    _, gradients = nn.value_and_grad(reference_model, mean_loss)(reference_model, batch)
    gradients = dict(tree_flatten(gradients))
    for name, expected in REFERENCE["gradients_every_16th"].items():
        np.testing.assert_allclose(np.array(gradients[name])[::16, ::16], expected, atol=1e-4)


def random_example(seed: int, frames: int = 100, prompt: int = 3, tokens: int = 8) -> Example:
    random = np.random.default_rng(seed)
    mel = random.standard_normal((frames, 80)).astype(np.float16)
    return Example(mel, tuple(random.integers(0, 51865, tokens).tolist()), prompt)


def test_loss_is_the_summed_cross_entropy_of_each_label(model):
    batch = make_batch([random_example(0), random_example(1, tokens=5)])
    logits = np.array(model(batch.mel, batch.tokens), np.float64)
    log_probabilities = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    expected = 0.0
    for row, example in enumerate([random_example(0), random_example(1, tokens=5)]):
        for place in range(example.prompt_length, len(example.tokens)):
            expected -= log_probabilities[row, place - 1, example.tokens[place]]
    assert cross_entropy_loss(model, batch).item() == pytest.approx(expected, rel=1e-5)


def test_smooth_labels_have_the_loss_and_gradients_of_mlx(model):
    batch = make_batch([random_example(0, tokens=60), random_example(1, tokens=40)])
    labels = mx.where(mx.arange(len(batch.labels)) == 3, -1, batch.labels)  # as padding is

    def expected_loss(embedding: mx.array) -> mx.array:
        model.decoder.token_embedding.weight = embedding
        logits = model(batch.mel, batch.tokens)
        logits = logits.reshape(-1, logits.shape[-1])[batch.positions]
        losses = nn.losses.cross_entropy(logits, mx.maximum(labels, 0), label_smoothing=0.2)
        return mx.where(labels >= 0, losses, 0).sum()

    def found_loss(embedding: mx.array) -> mx.array:
        model.decoder.token_embedding.weight = embedding
        return loss_from_features(model, model.encode(batch.mel), batch._replace(labels=labels), 0.2)

    weight = model.decoder.token_embedding.weight
    model.decoder.token_embedding.unfreeze()
    (expected, of_expected), (found, of_found) = (
        mx.value_and_grad(each)(weight) for each in (expected_loss, found_loss)
    )
    model.decoder.token_embedding.weight = weight
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    np.testing.assert_allclose(np.array(of_found), np.array(of_expected), atol=2e-5)


def test_padding_changes_neither_the_loss_nor_its_count(model):
    examples = [random_example(0, tokens=9), random_example(1, tokens=4)]
    together = make_batch(examples)
    garbage = np.array(together.tokens)
    garbage[1, 3:] = 12345
    alone = [make_batch([each]) for each in examples]
    expected = sum(cross_entropy_loss(model, batch).item() for batch in alone)
    assert len(together.labels) == 6 + 1 == sum(len(batch.labels) for batch in alone)
    for tokens in (together.tokens, mx.array(garbage)):
        assert cross_entropy_loss(model, together._replace(tokens=tokens)).item() == pytest.approx(expected, rel=1e-5)


def test_no_loss_is_taken_on_the_prompt(model):
    """Longer prompts leave the count as it is: their tokens are given, not predicted."""
    short = Example(random_example(0).mel, (5, 6, 7, 8), 2)
    longer = Example(short.mel, (1, 2, 3, 5, 6, 7, 8), 5)
    for example in (short, longer):
        batch = make_batch([example])
        assert batch.labels.tolist() == [7, 8]
        logits = model(batch.mel, batch.tokens)[0, -2:]
        expected = nn.losses.cross_entropy(logits, mx.array([7, 8]), reduction="sum").item()
        assert cross_entropy_loss(model, batch).item() == pytest.approx(expected, rel=1e-5)


def test_a_float16_model_computes_in_float16_and_agrees(model, monkeypatch):
    batch, half, seen = make_batch([random_example(0)]), small_model(), []
    half.set_dtype(mx.float16)
    expected, after_encoding = cross_entropy_loss(model, batch).item(), loss.loss_from_features
    monkeypatch.setattr(
        loss,
        "loss_from_features",
        lambda model, features, batch: (seen.append(features.dtype), after_encoding(model, features, batch))[1],
    )
    assert cross_entropy_loss(half, batch).item() == pytest.approx(expected, rel=2e-3)
    assert seen == [mx.float16]
