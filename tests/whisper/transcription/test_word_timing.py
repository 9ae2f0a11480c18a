"""Timing words."""

import time

import numpy as np
import pytest

from mlx_whisper_lora.whisper.audio.load import pad_or_trim
from mlx_whisper_lora.whisper.audio.log_mel import log_mel_spectrogram
from mlx_whisper_lora.whisper.model.alignment_heads import (
    alignment_heads,
    dimensions_of_size,
    heads_of_sizes,
    published_heads,
)
from mlx_whisper_lora.whisper.model.whisper import DIMENSIONS, Whisper
from mlx_whisper_lora.whisper.text.tokenizer import get_tokenizer
from mlx_whisper_lora.whisper.transcription.word_timing import (
    WordTiming,
    dynamic_time_warping,
    find_alignment,
    merge_punctuations,
)
from tests.support.models import seeded_model
from tests.support.references import reference
from tools.references.seeded import chirps

CASES = reference("timing")


@pytest.mark.parametrize("case", CASES["aligned"], ids=lambda case: f"{case['variant']}-{case['language']}")
def test_word_times_are_openai_whispers(case, monkeypatch):
    model = seeded_model(case["variant"])
    if case["heads"]:
        monkeypatch.setattr(model, "alignment_heads", tuple(map(tuple, case["heads"])), raising=False)
    tokenizer = get_tokenizer(model.is_multilingual, num_languages=model.num_languages, language=case["language"])
    mel = log_mel_spectrogram(chirps(case["seconds"]), model.dims.n_mels)
    (features,) = model.encoder(pad_or_trim(mel, 3000, axis=0)[None])
    words = find_alignment(model, tokenizer, tokenizer.encode(case["text"]), features, mel.shape[0])
    assert [(word.word, word.tokens) for word in words] == [(word["word"], word["tokens"]) for word in case["words"]]
    for name, tolerance in (("start", 0.02), ("end", 0.02), ("probability", 1e-4)):
        expected = [word[name] for word in case["words"]]
        assert [getattr(word, name) for word in words] == pytest.approx(expected, rel=1e-3, abs=tolerance)


@pytest.mark.parametrize(("language", "text", "words", "tokens"), CASES["split"])
def test_text_is_cut_into_openai_whispers_words(language, text, words, tokens):
    tokenizer = get_tokenizer(True, language=language)
    given = [*tokenizer.encode(text), tokenizer.eot]
    assert tokenizer.split_to_word_tokens(given) == (words, tokens)


def test_tokens_without_a_valid_character_are_kept():
    tokenizer = get_tokenizer(True)
    (first, *_), (last,) = tokenizer.encode("世"), tokenizer.encode(" a")
    words, tokens = tokenizer.split_to_word_tokens([first, last, first])
    assert [token for word in tokens for token in word] == [first, last, first] and len(words) >= 2


def test_no_text_has_no_words():
    model = seeded_model("english")
    assert find_alignment(model, get_tokenizer(False), [], np.zeros((1500, 64), np.float32), 3000) == []


def test_the_path_is_the_cheapest():
    costs = np.array([[0, 9, 9, 9], [9, 0, 0, 9], [9, 9, 9, 0]], np.float32)
    rows, columns = dynamic_time_warping(costs)
    assert (rows.tolist(), columns.tolist()) == ([0, 1, 1, 2], [0, 1, 2, 3])


def test_no_other_path_is_cheaper():
    costs = np.random.default_rng(0).standard_normal((6, 9)).astype(np.float32)
    rows, columns = dynamic_time_warping(costs)
    assert set(zip(np.diff(rows).tolist(), np.diff(columns).tolist(), strict=True)) <= {(0, 1), (1, 0), (1, 1)}
    assert (rows[0], columns[0], rows[-1], columns[-1]) == (0, 0, 5, 8)
    totals = np.full((7, 10), np.inf)
    totals[0, 0] = 0
    for i, j in np.ndindex(costs.shape):
        totals[i + 1, j + 1] = costs[i, j] + min(totals[i, j], totals[i, j + 1], totals[i + 1, j])
    assert costs[rows, columns].sum() == pytest.approx(totals[-1, -1], rel=1e-5)


@pytest.mark.parametrize("shape", [(10, 20), (32, 16), (120, 1500), (230, 190)])
def test_a_path_laid_through_noise_is_found(shape):
    random = np.random.default_rng(0)
    costs = random.random(shape, dtype=np.float32)
    cell, path = (0, 0), [(0, 0)]
    while cell != (shape[0] - 1, shape[1] - 1):
        down, right = random.permutation([(0, 1), (1, 0), (1, 1)])[0]
        cell = (min(cell[0] + down, shape[0] - 1), min(cell[1] + right, shape[1] - 1))
        if cell != path[-1]:
            path.append(cell)
    rows, columns = np.array(path).T
    costs[rows, columns] -= 1  # to go there pays, and to go elsewhere costs
    np.testing.assert_array_equal(dynamic_time_warping(costs), [rows, columns])


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1)])
def test_a_single_row_or_column_has_one_path(shape):
    rows, columns = dynamic_time_warping(np.zeros(shape, np.float32))
    assert len(rows) == max(shape) and (rows[-1], columns[-1]) == (shape[0] - 1, shape[1] - 1)


def test_a_full_window_is_aligned_in_half_a_second():
    costs = np.random.default_rng(0).standard_normal((220, 1500)).astype(np.float32)
    started = time.process_time()
    dynamic_time_warping(costs)
    assert time.process_time() - started < 0.5  # 0.03 s on an idle core


def test_punctuation_is_joined_to_words():
    words = [" He", " said", " “", "Yes", "!”", " (", "no", ")", "."]
    alignment = [WordTiming(word, [i], i, i + 1, 1.0) for i, word in enumerate(words)]
    merged = merge_punctuations(alignment, "“(", "!”).")
    assert [(word.word, word.tokens, word.start, word.end) for word in merged] == [
        (" He", [0], 0, 1),
        (" said", [1], 1, 2),
        (" “Yes!”", [2, 3, 4], 3, 4),
        (" (no).", [5, 6, 7, 8], 6, 7),
    ]


def test_every_published_model_has_its_heads():
    for size, heads in heads_of_sizes().items():
        dims = dimensions_of_size(size)
        assert heads and all(layer < dims.n_text_layer and head < dims.n_text_head for layer, head in heads)
        assert published_heads(dims, f"openai/whisper-{size}") == heads
    assert published_heads(DIMENSIONS["tiny"], "my/model") == ((2, 2), (3, 0), (3, 2), (3, 3), (3, 4), (3, 5))
    assert published_heads(DIMENSIONS["large-v2"], "someone/large") is None  # could be large-v1


def test_a_models_own_heads_come_first_and_unknown_models_use_their_upper_half(monkeypatch):
    model: Whisper = seeded_model("english")
    assert alignment_heads(model) == ((1, 0), (1, 1))
    monkeypatch.setattr(model, "alignment_heads", ((0, 1),), raising=False)
    assert alignment_heads(model) == ((0, 1),)
