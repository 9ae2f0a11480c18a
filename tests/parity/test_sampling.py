"""Above temperature 0 both sides draw from the same distribution."""

import mlx.core as mx
import numpy as np
import pytest
import scipy.stats
import torch
import whisper
from whisper.decoding import DecodingTask

from mlx_whisper_lora.whisper.decoding.decode import generate
from mlx_whisper_lora.whisper.decoding.options import DecodingOptions
from tests.parity.pairs import DEMO, features, pair

RUNS, AT_ONCE, LENGTH = 20, 100, 6
SMALLEST_P = 1e-4  # of a test; the seeds are fixed, so the result is always the same
RARE = 5  # a chi-square test wants so many expected in each bin


class Samples:
    """2,000 transcripts of six tokens by each side, and the probabilities of their first token."""

    def __init__(self, name: str, temperature: float):
        self.models, (self.features, self.their_features) = pair(name), features(name)
        self.options = {"language": "en", "temperature": temperature, "best_of": AT_ONCE, "sample_len": LENGTH}
        mx.random.seed(1)
        torch.manual_seed(1)
        ours = [self.draw_ours() for _ in range(RUNS)]
        theirs = [self.draw_theirs() for _ in range(RUNS)]
        self.tokens, self.scores = (np.concatenate(parts) for parts in zip(*ours, strict=True))
        self.their_tokens, self.their_scores = (np.concatenate(parts) for parts in zip(*theirs, strict=True))

    def draw_ours(self) -> tuple[np.ndarray, np.ndarray]:
        tokenizer = self.models.ours.tokenizer("en")
        options = DecodingOptions(**self.options)
        (window,) = generate(self.models.ours, self.features[:1], [tokenizer], options)
        tokens = [sample.tokens + [tokenizer.eot] * (LENGTH - len(sample.tokens)) for sample in window.candidates]
        return np.array(tokens), np.array([sample.sum_logprob for sample in window.candidates])

    def their_task(self) -> DecodingTask:
        return DecodingTask(self.models.theirs, whisper.DecodingOptions(fp16=False, **self.options))

    @torch.no_grad()
    def draw_theirs(self) -> tuple[np.ndarray, np.ndarray]:
        task = self.their_task()
        start = torch.tensor([task.initial_tokens]).repeat(AT_ONCE, 1)
        tokens, scores, _ = task._main_loop(self.their_features[:1], start)
        tokens = torch.nn.functional.pad(tokens, (0, LENGTH), value=task.tokenizer.eot)
        return tokens[:, start.shape[1] :][:, :LENGTH].numpy(), scores.numpy()

    @torch.no_grad()
    def first_probabilities(self) -> np.ndarray:
        """Return the probabilities by openai-whisper's logits and rules, shape (V,)."""
        task = self.their_task()
        start = torch.tensor([task.initial_tokens])
        logits = self.models.theirs.decoder(start, self.their_features[:1])[:, -1]
        for rule in task.logit_filters:
            rule.apply(logits, start)
        return torch.softmax(logits[0].double() / self.options["temperature"], dim=-1).numpy()


@pytest.fixture(scope="module", params=[("multilingual", 1.0), ("multilingual", 0.6), (DEMO, 0.8)], ids=str)
def samples(request) -> Samples:
    return Samples(*request.param)


def test_first_tokens_are_as_frequent_as_they_are_probable(samples):
    expected = samples.first_probabilities() * RUNS * AT_ONCE
    common = expected >= RARE
    for tokens in (samples.tokens, samples.their_tokens):
        counts = np.bincount(tokens[:, 0], minlength=len(expected))
        assert not counts[expected == 0].any()
        found, wanted = ([*array[common], array[~common].sum()] for array in (counts, expected))
        if wanted[-1] < RARE:  # too few even together
            found, wanted = ([*array[:-2], array[-2] + array[-1]] for array in (found, wanted))
        if len(found) > 1:
            assert scipy.stats.chisquare(found, wanted).pvalue > SMALLEST_P


@pytest.mark.parametrize("position", range(1, LENGTH))
def test_later_tokens_are_spread_alike(samples, position):
    """Compare tokens in bins of about equal size."""
    ours, theirs = samples.tokens[:, position], samples.their_tokens[:, position]
    edges = np.unique(np.quantile(np.concatenate([ours, theirs]), np.linspace(0, 1, 21), method="nearest"))
    counts = [np.bincount(np.searchsorted(edges, tokens), minlength=len(edges)) for tokens in (ours, theirs)]
    table = np.array(counts)[:, np.sum(counts, axis=0) > 0]
    assert table.shape[1] == 1 or scipy.stats.chi2_contingency(table).pvalue > SMALLEST_P


def test_log_probabilities_are_distributed_alike(samples):
    """Compare the scores of transcripts. Noise hides that the scores of one transcript differ in their last digits."""
    random = np.random.default_rng(1)
    scores = (found + random.uniform(-0.01, 0.01, len(found)) for found in (samples.scores, samples.their_scores))
    assert scipy.stats.ks_2samp(*scores).pvalue > SMALLEST_P
