"""The encoder's features and the decoder's logits are within 1e-3 of openai-whisper's, at the published widths too."""

import mlx.core as mx
import numpy as np
import pytest
import torch

from tests.parity.pairs import MODELS, SHALLOW, encoded, features, pair, recording, shallow_pair
from tools.references.seeded import chirps


def assert_same_numbers(ours: mx.array, theirs: torch.Tensor) -> None:
    assert np.abs(theirs.numpy()).max() > 1  # so that the tolerance means something
    np.testing.assert_allclose(np.array(ours), theirs.numpy(), rtol=0, atol=1e-3)


@torch.no_grad()
def check_logits(models, ours: mx.array, theirs: torch.Tensor) -> None:
    """Compare logits of forty tokens at once, and of the last one with a cache of the others."""
    n_vocab = models.ours.dims.n_vocab
    tokens = np.random.default_rng(0).integers(0, n_vocab, (len(ours), 40))
    tokens[:, ::10] = n_vocab - 1 - tokens[:, ::10] % 1600  # timestamps and other special tokens
    expected = models.theirs.decoder(torch.from_numpy(tokens), theirs)
    assert_same_numbers(models.ours.decoder(mx.array(tokens), ours), expected)
    cache = models.ours.new_cache()
    models.ours.decoder(mx.array(tokens[:, :-1]), ours, cache)
    assert_same_numbers(models.ours.decoder(mx.array(tokens[:, -1:]), ours, cache), expected[:, -1:])


@pytest.mark.parametrize("name", MODELS)
def test_small_models_agree(name):
    assert_same_numbers(*features(name))
    check_logits(pair(name), *features(name))


@pytest.mark.parametrize("size", SHALLOW)
def test_published_widths_agree(size):
    models = shallow_pair(size)
    ours, theirs = encoded(models, [chirps(30), recording()[:480_000]])
    assert_same_numbers(ours, theirs)
    check_logits(models, ours, theirs)
