"""Decoding a window: the same tokens, by the same rules."""

import mlx.core as mx
import numpy as np
import pytest
import torch
import whisper
from whisper.decoding import DecodingTask, MaximumLikelihoodRanker

from mlx_whisper_lora.whisper.decoding.decode import decode
from mlx_whisper_lora.whisper.decoding.language import detect_language
from mlx_whisper_lora.whisper.decoding.logit_filters import logit_filters
from mlx_whisper_lora.whisper.decoding.options import DecodingOptions
from mlx_whisper_lora.whisper.decoding.search import Candidate, Hypotheses, SamplingDecoder, best_sequence
from tests.parity.pairs import DEMO, MODELS, SHALLOW, Pair, encoded, features, pair, shallow_pair
from tools.references.seeded import chirps

SEARCHES = {
    "greedy": {},
    "beam 5": {"beam_size": 5},
    "patience 2": {"beam_size": 5, "patience": 2.0},
}
OTHERS = {
    "impatient": {"beam_size": 4, "patience": 0.5},
    "length penalty": {"beam_size": 4, "length_penalty": 0.7},
    "text only": {"without_timestamps": True},
    "text only, beam 5": {"without_timestamps": True, "beam_size": 5},
    "all tokens allowed": {"suppress_tokens": "", "suppress_blank": False, "max_initial_timestamp": None},
    "prompt and prefix": {"prompt": "the red house", "prefix": " one two"},
    "a long prompt": {"prompt": "the red house " * 99, "beam_size": 3},
}


def check_tokens(models: Pair, ours: mx.array, theirs: torch.Tensor, options: dict) -> None:
    results = decode(models.ours, ours, DecodingOptions(language="en", **options))
    for result, window in zip(results, theirs, strict=True):  # one by one: openai-whisper's beam search takes no batch
        # It adds to the list of suppressed tokens that it is given, so each window has options of its own.
        expected = whisper.decode(models.theirs, window, whisper.DecodingOptions(language="en", fp16=False, **options))
        assert (result.tokens, result.text) == (expected.tokens, expected.text)
        assert result.avg_logprob == pytest.approx(expected.avg_logprob, rel=1e-3, abs=1e-4)
        assert result.no_speech_prob == pytest.approx(expected.no_speech_prob, rel=1e-3, abs=1e-6)
        assert result.compression_ratio == expected.compression_ratio


@pytest.mark.parametrize("options", SEARCHES | OTHERS)
@pytest.mark.parametrize("name", MODELS)
def test_tokens_agree(name, options):
    length = 80 if name == DEMO else 24
    check_tokens(pair(name), *features(name), {"sample_len": length, **(SEARCHES | OTHERS)[options]})


@pytest.mark.parametrize("size", SHALLOW)
def test_tokens_agree_at_published_widths(size):
    models = shallow_pair(size)
    ours, theirs = encoded(models, [chirps(30, seed=1)])
    for options in SEARCHES.values():
        check_tokens(models, ours, theirs, {"sample_len": 12, **options})


@pytest.mark.parametrize("name", ["multilingual", "v3", DEMO])
def test_detected_languages_agree(name):
    ours, theirs = features(name)
    tokens, probabilities = detect_language(pair(name).ours, ours)
    expected_tokens, expected = whisper.detect_language(pair(name).theirs, theirs)
    assert tokens.tolist() == expected_tokens.tolist()
    for window, expected_window in zip(probabilities, expected, strict=True):
        assert window == pytest.approx(expected_window, abs=1e-5)


@pytest.mark.parametrize("options", [{}, *OTHERS.values()], ids=["default", *OTHERS])
def test_the_same_tokens_are_forbidden_at_every_step(options):
    """Follow random transcripts, with logits that favor text at some steps and timestamps at others."""
    models = pair("multilingual")
    tokenizer = models.ours.tokenizer("en")
    task = DecodingTask(models.theirs, whisper.DecodingOptions(language="en", fp16=False, **options))
    filters = logit_filters(tokenizer, DecodingOptions(**options), models.ours.dims.n_vocab)
    random = np.random.default_rng(0)
    decoder, hypotheses = SamplingDecoder(1, 1.0, tokenizer.eot), Hypotheses.empty(8)
    mx.random.seed(0)
    for _ in range(30):
        logits = 3 * random.standard_normal((8, models.ours.dims.n_vocab)).astype(np.float32)
        logits[:, tokenizer.timestamp_begin :] -= random.uniform(0, 8, (8, 1))
        found, expected = mx.array(logits), torch.from_numpy(logits.copy())
        for logit_filter in filters:
            found = logit_filter.apply(found, hypotheses.tokens)
        before = torch.tensor(task.initial_tokens).repeat(8, 1)
        for rule in task.logit_filters:
            tokens = torch.tensor(np.array(hypotheses.tokens), dtype=torch.long)
            rule.apply(expected, torch.cat([before, tokens], dim=1))
        np.testing.assert_array_equal(np.array(found), expected.numpy())
        hypotheses, _ = decoder.step(hypotheses, found)


@pytest.mark.parametrize("length_penalty", [None, 0.0, 0.6, 1.0])
def test_the_same_candidate_is_kept(length_penalty):
    random = np.random.default_rng(1)
    for _ in range(100):
        candidates = [list(range(length)) for length in random.integers(1, 40, 5)]
        scores = [
            -length * chance for length, chance in zip(map(len, candidates), random.uniform(0.2, 2, 5), strict=True)
        ]
        (expected,) = MaximumLikelihoodRanker(length_penalty).rank([candidates], [scores])
        ours = [Candidate(*candidate) for candidate in zip(candidates, scores, strict=True)]
        assert best_sequence(ours, length_penalty) is ours[expected]
