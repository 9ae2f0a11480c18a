"""Word times: they agree within 0.02 s, one position of the encoder."""

import numpy as np
import pytest
import torch
import whisper
from whisper import timing as theirs

from mlx_whisper_lora.data.sources import load_clips
from mlx_whisper_lora.whisper.assets import DEMO_CLIPS
from mlx_whisper_lora.whisper.audio.constants import N_FRAMES
from mlx_whisper_lora.whisper.audio.load import load_audio, pad_or_trim
from mlx_whisper_lora.whisper.audio.log_mel import log_mel_spectrogram
from mlx_whisper_lora.whisper.transcription.word_timing import (
    MEDIAN_FILTER_WIDTH,
    WordTiming,
    dynamic_time_warping,
    find_alignment,
    merge_punctuations,
    normalize_attention,
)
from tests.parity.pairs import DEMO, pair
from tools.references.seeded import chirps

CLIPS = load_clips(DEMO_CLIPS)["test"][:12]
TEXTS = {
    "english": " It's 3.14 o'clock; they've left. (Really?) “Yes” - he said.",
    "multilingual": " नमस्ते, आप कैसे हैं? Fine, thanks!",
    "v3": "你好，世界。 OK, 好的！",
}


def check_words(name: str, samples: np.ndarray, text: str, language: str) -> None:
    models = pair(name)
    tokenizer = models.ours.tokenizer(language)
    mel = log_mel_spectrogram(samples, models.ours.dims.n_mels)
    (features,) = models.ours.encoder(pad_or_trim(mel, N_FRAMES, axis=0)[None])
    words = find_alignment(models.ours, tokenizer, tokenizer.encode(text), features, len(mel))

    their_mel = whisper.log_mel_spectrogram(samples, models.theirs.dims.n_mels)
    their_tokenizer = whisper.tokenizer.get_tokenizer(
        models.theirs.is_multilingual, num_languages=models.theirs.num_languages, language=language
    )
    tokens = their_tokenizer.encode(text)
    padded = whisper.pad_or_trim(their_mel, N_FRAMES)
    expected = theirs.find_alignment(models.theirs, their_tokenizer, tokens, padded, their_mel.shape[1])
    assert [(word.word, word.tokens) for word in words] == [(word.word, word.tokens) for word in expected]
    for field, tolerance in (("start", 0.02 + 1e-9), ("end", 0.02 + 1e-9), ("probability", 1e-4)):
        found, wanted = ([getattr(word, field) for word in each] for each in (words, expected))
        np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance)


@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: clip.text)
def test_word_times_of_speech_agree(clip):
    samples = load_audio(clip.audio, start=clip.start, end=clip.end)
    check_words(DEMO, samples, " " + clip.text, clip.language)


@pytest.mark.parametrize("seconds", [1.5, 11, 30])
@pytest.mark.parametrize(("name", "language"), [("english", "en"), ("multilingual", "hi"), ("v3", "zh")])
def test_word_times_of_any_text_agree(name, language, seconds):
    check_words(name, chirps(seconds), TEXTS[name], language)


@pytest.mark.parametrize(("n_rows", "n_columns"), [(10, 20), (32, 16), (123, 1500), (234, 189), (1, 7), (7, 1)])
def test_the_path_is_the_same(n_rows, n_columns):
    costs = np.random.default_rng(0).standard_normal((n_rows, n_columns)).astype(np.float32)
    rows, columns = dynamic_time_warping(costs)
    np.testing.assert_array_equal([rows, columns], theirs.dtw_cpu(costs.astype(np.float64)))


@pytest.mark.parametrize("shape", [(6, 12, 240), (4, 5, 345), (2, 9, 15), (1, 3, 4), (2, 4, 3), (2, 4, 1)])
def test_attention_is_normalized_alike(shape):
    """Compare weights after standardizing over tokens, a mirrored median filter of seven, and the mean of the heads."""
    weights = torch.from_numpy(np.random.default_rng(0).random(shape, dtype=np.float32))
    deviation, mean = torch.std_mean(weights, dim=-2, keepdim=True, unbiased=False)
    expected = theirs.median_filter((weights - mean) / deviation, MEDIAN_FILTER_WIDTH).mean(dim=0)
    np.testing.assert_allclose(normalize_attention(weights.numpy()), expected, atol=1e-5)


@pytest.mark.parametrize("seed", range(20))
def test_punctuation_is_joined_to_the_same_words(seed):
    words = np.random.default_rng(seed).choice(
        [" so", " on", "です", ".", "!", "”", ")", " (", " “", " -", " ", "。", "'"], 30
    )
    alignment = [WordTiming(str(word), [i], i, i + 1, 0.5) for i, word in enumerate(words)]
    expected = [theirs.WordTiming(word.word, word.tokens, word.start, word.end, 0.5) for word in alignment]
    marks = ("\"'“¿([{-", "\"'.。,，!！?？:：”)]}、")
    theirs.merge_punctuations(expected, *marks)  # leaves those that it joined empty
    assert [vars(word) for word in merge_punctuations(alignment, *marks)] == [
        vars(word) for word in expected if word.word
    ]
