"""Attention by word."""

import numpy as np

from mlx_whisper_lora.explanation.attention import attention_maps


def test_attention_lies_on_the_time_of_each_word(demo, transcript, sentence):
    parts = [transcript.word(i) for i in range(len(transcript.words))]
    maps = attention_maps(demo, transcript, parts, sentence)
    np.testing.assert_allclose(maps.sum(axis=(1, 2)), 1, rtol=1e-5)
    assert (maps == maps[:, :, :1]).all()  # in all bands
    middles = [(each.sum(axis=1) * np.arange(len(sentence))).sum() / 100 for each in maps]
    times = [(word.start + word.end) / 2 for word in transcript.words]
    assert np.corrcoef(middles, times)[0, 1] > 0.9


def test_the_transcript_has_the_mean_of_its_tokens(demo, transcript, sentence):
    words = [transcript.word(i) for i in range(len(transcript.words))]
    whole, *maps = attention_maps(demo, transcript, [transcript.whole(), *words], sentence)
    weights = [len(word.tokens) for word in words]
    np.testing.assert_allclose(whole, np.average(maps, axis=0, weights=weights), atol=1e-6)
