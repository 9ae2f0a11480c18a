"""Decoding one window."""

import math

import mlx.core as mx
import numpy as np
import pytest

from mlx_whisper_lora.whisper.decoding.decode import (
    compression_ratio,
    decode,
    decode_features,
    generate,
    initial_tokens,
)
from mlx_whisper_lora.whisper.decoding.language import detect_language
from mlx_whisper_lora.whisper.decoding.logit_filters import TimestampRules, logit_filters
from mlx_whisper_lora.whisper.decoding.options import DecodingOptions
from mlx_whisper_lora.whisper.decoding.search import (
    BeamSearchDecoder,
    Candidate,
    Hypotheses,
    SamplingDecoder,
    TokenDecoder,
    best_sequence,
)
from mlx_whisper_lora.whisper.model.silence import SILENT_POSITIONS
from mlx_whisper_lora.whisper.text.tokenizer import get_tokenizer
from tests.support.models import seeded_model, window_features, window_mels
from tests.support.references import reference

CASES = reference("decoding")
TOKENIZER = get_tokenizer(True, language="en", task="transcribe")
N_VOCAB = 51865
BEGIN, EOT = TOKENIZER.timestamp_begin, TOKENIZER.eot


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['variant']}-{'-'.join(case['options'])}")
def test_tokens_are_openai_whispers(case):
    model = seeded_model(case["variant"])
    results = decode(model, window_features(case["variant"]), DecodingOptions(**case["options"]))
    for result, expected in zip(results, case["results"], strict=True):
        for name in ("tokens", "text", "language", "compression_ratio"):
            assert getattr(result, name) == expected[name]
        assert result.avg_logprob == pytest.approx(expected["avg_logprob"], abs=1e-4)
        assert result.no_speech_prob == pytest.approx(expected["no_speech_prob"], rel=1e-3)


@pytest.mark.parametrize(
    "case", [case for case in CASES if "language_tokens" in case], ids=lambda case: case["variant"]
)
def test_detected_languages_are_openai_whispers(case):
    model = seeded_model(case["variant"])
    tokens, probs = detect_language(model, window_features(case["variant"]))
    assert tokens.tolist() == case["language_tokens"]
    for window, expected in zip(probs, case["language_probs"], strict=True):
        assert window == pytest.approx(expected, abs=1e-5)


def test_one_window_and_its_features_and_a_batch_agree():
    model, mels = seeded_model("multilingual"), window_mels(80)[:2]
    options = DecodingOptions(language="en", sample_len=15)
    batch = decode(model, mels, options)
    for i in range(2):
        one = decode(model, mels[i], options)
        from_features = decode(model, one.audio_features, options)
        assert one.tokens == from_features.tokens == batch[i].tokens
        assert one.avg_logprob == pytest.approx(batch[i].avg_logprob, abs=1e-5)
    token, probs = detect_language(model, mels[0])
    assert token.item() == TOKENIZER.to_language_token(max(probs, key=probs.get))


def test_detection_reports_its_probabilities():
    result = decode(seeded_model("multilingual"), window_features("multilingual")[0], sample_len=1)
    assert result.language == max(result.language_probs, key=result.language_probs.get)
    assert sum(result.language_probs.values()) == pytest.approx(1, abs=1e-4)


def test_the_task_lang_id_detects_the_language_and_nothing_else():
    features = window_features("multilingual")
    results = decode(seeded_model("multilingual"), features, task="lang_id", language="te")
    _, probs = detect_language(seeded_model("multilingual"), features)
    assert [result.language_probs for result in results] == probs
    assert [result.language for result in results] == [max(window, key=window.get) for window in probs]
    assert all(result.text == "" and result.tokens == [] for result in results)
    with pytest.raises(ValueError, match="English-only"):
        decode(seeded_model("english"), window_features("english"), task="lang_id")


def test_a_type_that_the_model_was_not_loaded_in_is_noted():
    with pytest.warns(UserWarning, match=r"`fp16` True has no effect: this model was loaded in mlx.core.float32"):
        decode(seeded_model("multilingual"), window_features("multilingual"), fp16=True, sample_len=1)


def test_short_windows_are_decoded():
    model = seeded_model("multilingual")
    result = decode(model, window_mels(80)[0, :500], language="en", sample_len=5)
    assert result.audio_features.shape == (250 + SILENT_POSITIONS, 64) and len(result.tokens) == 5


def test_a_spectrogram_in_openai_whispers_layout_is_refused_with_what_to_do():
    with pytest.raises(ValueError, match="got 80 by 3000: transpose the spectrogram"):
        decode(seeded_model("english"), np.zeros((80, 3000), np.float32))


def test_a_wrong_shape_is_refused_with_the_right_one():
    with pytest.raises(ValueError, match="3000 frames by 80 mel bands"):
        decode(seeded_model("english"), mx.zeros((3000, 128)))
    with pytest.raises(ValueError, match="3000 frames by 80 mel bands"):
        decode(seeded_model("english"), mx.zeros((3001, 80)))


@pytest.mark.parametrize(
    ("variant", "options", "message"),
    [
        ("english", {"language": "te"}, "English-only"),
        ("english", {"task": "translate"}, "English-only"),
        ("multilingual", {"language": "yue"}, "does not know"),
        ("multilingual", {"language": "klingon"}, "unknown language"),
        ("multilingual", {"language": "en", "suppress_tokens": "1,two"}, "suppress_tokens"),
        ("multilingual", {"language": "en", "suppress_tokens": [60000]}, "60000"),
        ("multilingual", {"language": "en", "prefix": list(range(500))}, "at most 448"),
        ("multilingual", {"task": "sing"}, "task must be one of transcribe, translate, lang_id, got 'sing'"),
        ("multilingual", {"temperature": 0.0, "best_of": 5}, "best_of"),
        ("multilingual", {"temperature": 0.5, "best_of": 0}, "best_of"),
        ("multilingual", {"temperature": -1}, "temperature must be at least 0"),
        ("multilingual", {"temperature": 0.5, "beam_size": 5}, "beam_size"),
        ("multilingual", {"beam_size": 0}, "beam_size"),
        ("multilingual", {"beam_size": "5"}, "beam_size must be a number, got '5'"),
        ("multilingual", {"patience": 2.0}, "patience"),
        ("multilingual", {"beam_size": 5, "patience": 0.0}, "patience"),
        ("multilingual", {"length_penalty": 1.5}, "length_penalty"),
    ],
)
def test_bad_options_are_refused(variant, options, message):
    with pytest.raises(ValueError, match=message):
        decode(seeded_model(variant), window_features(variant)[0], **options)


def test_the_text_context_is_filled_and_not_exceeded():
    model = seeded_model("english")
    options = DecodingOptions(prompt=list(range(300, 900)), sample_len=1000, suppress_tokens=[50256])  # never ends
    result = decode(model, window_features("english")[0], options)
    assert len(result.tokens) == 448 - 225 + 1  # the last one is read by nobody


PROMPTS = [list(range(300, 900)), [], list(range(50, 57))]


@pytest.mark.parametrize("changes", [{}, {"beam_size": 3}, {"temperature": 0.7, "best_of": 2}], ids=str)
def test_windows_with_prompts_of_other_lengths_are_decoded_as_alone(changes):
    model, features = seeded_model("multilingual"), window_features("multilingual")[:3]
    options, keys = DecodingOptions(language="en", sample_len=12, **changes), [mx.random.key(i) for i in range(3)]
    together = decode_features(model, features, options, keys, PROMPTS)
    assert len({tuple(result.tokens) for result in together}) == 3
    for i, result in enumerate(together):
        (alone,) = decode_features(model, features[i : i + 1], options, keys[i : i + 1], PROMPTS[i : i + 1])
        assert result.tokens == alone.tokens
        assert result.avg_logprob == pytest.approx(alone.avg_logprob, abs=1e-4)
        assert result.no_speech_prob == pytest.approx(alone.no_speech_prob, rel=1e-3)


def test_each_window_fills_the_text_context_that_its_prompt_leaves():
    options = DecodingOptions(sample_len=1000, suppress_tokens=[50256])  # never ends
    features = window_features("english")[:3]
    results = decode_features(seeded_model("english"), features, options, prompts=PROMPTS)
    assert [len(result.tokens) for result in results] == [448 - 225 + 1, 448, 448 - 9 + 1]


@pytest.mark.parametrize("changes", [{}, {"beam_size": 2}, {"temperature": 1.0, "best_of": 2}], ids=str)
def test_windows_that_end_early_leave_the_others_as_they_are(changes, monkeypatch):
    class EndingFilter:
        """Ends the windows after 9, 2 and 5 tokens. They are recognized by their first token."""

        def apply(self, logits, tokens):
            first = mx.array([300, 301, 302])
            if tokens.shape[1] == 0:
                return mx.where(mx.arange(N_VOCAB) == first[self.order, None], logits, -mx.inf)
            lengths = mx.array([9, 2, 5])[tokens[:, 0] - 300]
            ends = (mx.arange(N_VOCAB) == EOT) == (tokens.shape[1] >= lengths)[:, None]
            return mx.where(ends, logits, -mx.inf)

    ending = EndingFilter()
    monkeypatch.setattr("mlx_whisper_lora.whisper.decoding.decode.logit_filters", lambda *_: [ending])
    model, features = seeded_model("multilingual"), window_features("multilingual")[:3]
    options, keys = DecodingOptions(language="en", **changes), [mx.random.key(i) for i in range(3)]
    count = changes.get("beam_size") or changes.get("best_of") or 1

    def decoded(order: list[int]) -> list[list[int]]:
        ending.order = mx.repeat(mx.array(order), count)
        windows = decode_features(model, features[mx.array(order)], options, [keys[i] for i in order])
        return [window.tokens for window in windows]

    together = decoded([0, 1, 2])
    assert [len(tokens) for tokens in together] == [9, 2, 5]
    assert together == [decoded([i])[0] for i in range(3)]


def test_initial_tokens():
    sot, prev = list(TOKENIZER.sot_sequence), TOKENIZER.sot_prev

    def initial(sample_len=224, **options):
        return initial_tokens(TOKENIZER, DecodingOptions(**options), 448, sample_len)

    assert initial() == sot
    assert initial(without_timestamps=True) == [*sot, TOKENIZER.no_timestamps]
    assert initial(prompt=" hello ") == [prev, *TOKENIZER.encode(" hello"), *sot]
    assert initial(prompt=list(range(300))) == [prev, *range(77, 300), *sot]
    assert initial(prefix=list(range(300))) == [*sot, *range(300)]
    assert initial(sample_len=220, prefix=list(range(300))) == [*sot, *range(296, 300)]


def test_sampling_repeats_with_the_seed_and_varies_without():
    model, window = seeded_model("multilingual"), window_features("multilingual")[0]
    options = DecodingOptions(language="en", temperature=1.0, sample_len=10)
    runs = []
    for seed in (1, 1, 2):
        mx.random.seed(seed)
        runs.append(decode(model, window, options).tokens)
    assert runs[0] == runs[1] != runs[2]


def test_best_of_keeps_the_most_likely_sample():
    model, features = seeded_model("multilingual"), window_features("multilingual")[:2]
    options = DecodingOptions(language="en", temperature=1.0, best_of=4, sample_len=8)
    mx.random.seed(3)
    windows = generate(model, features, [TOKENIZER] * 2, options)
    mx.random.seed(3)
    for window, result in zip(windows, decode(model, features, options), strict=True):
        means = [sample.sum_logprob / len(sample.tokens) for sample in window.candidates]
        assert len(set(means)) == 4 and result.tokens == window.candidates[np.argmax(means)].tokens


def test_samples_near_temperature_zero_are_the_greedy_ones():
    model, features = seeded_model("multilingual"), window_features("multilingual")
    options = DecodingOptions(language="en", sample_len=20)
    greedy = [result.tokens for result in decode(model, features, options)]
    sampled = decode(model, features, options, temperature=1e-7, best_of=2)
    assert [result.tokens for result in sampled] == greedy


def test_the_best_sequence_has_the_highest_mean_log_probability():
    long, short, empty = Candidate([1, 2, 3, 4], -4.0), Candidate([1], -1.5), Candidate([], -5.0)
    assert best_sequence([long, short], None) == long
    assert best_sequence([empty, short], None) == short
    assert best_sequence([long, short], 0.0) == short  # no reward for length


def test_a_finished_sequence_stays_finished():
    logits = mx.array([[0.0, 1.0, 5.0], [3.0, 1.0, 0.0]])
    decoder = SamplingDecoder(1, 0.0, eot=2)
    once, _ = decoder.step(Hypotheses.empty(2), logits)
    twice, _ = decoder.step(once, logits[::-1])
    assert twice.tokens.tolist() == [[2, 2], [0, 2]]
    assert (once.finished.tolist(), twice.finished.tolist()) == ([True, False], [True, True])
    assert twice.sum_logprobs[0].item() == once.sum_logprobs[0].item()


# Probabilities of the next token (0, 1, the end 2, and others that never come) after 0, 1, ... and after the start.
# Token 0 looks best at first, but the most likely sequence is "1 2", at 0.36.
EIGHT, START = 8, 8
NEXT = np.full((EIGHT + 1, EIGHT), 1e-9, np.float32)
NEXT[[0, 1, START], :3] = [[0.35, 0.35, 0.3], [0.05, 0.05, 0.9], [0.55, 0.4, 0.05]]
NEXT = np.log(NEXT)


def search(decoder: TokenDecoder) -> list[list[Candidate]]:
    """Return the candidates of two windows, after as many steps as they need."""
    hypotheses = Hypotheses.empty(2 * decoder.sequences_per_window)
    last = np.full(len(hypotheses.sum_logprobs), START)
    for _ in range(20):
        hypotheses, _ = decoder.step(hypotheses, mx.array(NEXT[last]))
        if hypotheses.finished.all().item():
            break
        last = np.array(hypotheses.tokens[:, -1])
    return decoder.finalize(hypotheses)


def test_beam_search_finds_a_sequence_that_greedy_decoding_misses():
    for (greedy,) in search(SamplingDecoder(1, 0.0, eot=2)):
        assert greedy.tokens[0] == 0
    for candidates in search(BeamSearchDecoder(2, None, eot=2)):
        best = best_sequence(candidates, 0.0)
        assert best.tokens == [1]
        assert best.sum_logprob == pytest.approx(np.log(0.4 * 0.9), abs=1e-5)


def test_patience_waits_for_more_sequences():
    for candidates in search(BeamSearchDecoder(2, 3.0, eot=2)):
        assert len(candidates) == len({tuple(candidate.tokens) for candidate in candidates}) == 6


def test_unfinished_beams_stand_in_for_missing_ones():
    decoder = BeamSearchDecoder(3, None, eot=2)
    hypotheses, rows = decoder.step(Hypotheses.empty(3), mx.array(NEXT[[START] * 3]))
    assert rows.tolist() == [0, 0, 0]
    (candidates,) = decoder.finalize(hypotheses)
    assert [candidate.tokens for candidate in candidates] == [[], [0], [1]]
    scores = [candidate.sum_logprob for candidate in candidates]
    assert scores == pytest.approx(np.log([0.05, 0.55, 0.4]), abs=1e-5)


@pytest.mark.parametrize("patience", [None, 0.5])
def test_beams_and_windows_together_are_as_one_by_one(patience):
    model, features = seeded_model("english"), window_features("english")
    options = DecodingOptions(beam_size=4, patience=patience, sample_len=24)
    together = decode(model, features, options)
    assert [result.tokens for result in together] == [decode(model, one, options).tokens for one in features]


def allowed(tokens: list[int], logits: np.ndarray | None = None, **options) -> set[int]:
    """Return the tokens that the timestamp rules allow after `tokens`, if text is far more likely than timestamps."""
    if logits is None:
        logits = np.zeros(N_VOCAB, np.float32)
        logits[:BEGIN] = 20
    rules = TimestampRules(TOKENIZER, N_VOCAB, options.get("max_initial_timestamp"))
    left = rules.apply(mx.array(logits)[None], mx.array([tokens], dtype=mx.int32).reshape(1, -1))
    return set(np.flatnonzero(np.isfinite(np.array(left[0]))).tolist())


TEXT = set(range(EOT))
SPECIAL = set(range(EOT, TOKENIZER.no_timestamps))
TIMES = set(range(BEGIN, N_VOCAB))


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ([], TIMES),
        ([BEGIN + 5], TEXT | SPECIAL),  # opened: text
        ([BEGIN + 5, 7], TEXT | SPECIAL | set(range(BEGIN + 6, N_VOCAB))),  # in text: it may close, later than opened
        ([BEGIN + 5, 7, BEGIN + 9], SPECIAL | set(range(BEGIN + 9, N_VOCAB))),  # closed: the next opens, or the end
        ([BEGIN + 5, 7, BEGIN + 9, BEGIN + 9], TEXT | SPECIAL),
        ([BEGIN + 5, 7, BEGIN + 1500], SPECIAL | {BEGIN + 1500}),
        ([BEGIN + 5, 7, BEGIN + 1500, BEGIN + 1500, 7], TEXT | SPECIAL),
    ],
)
def test_timestamps_come_in_growing_pairs(tokens, expected):
    assert allowed(tokens) == expected


def test_the_first_timestamp_is_limited():
    assert allowed([], max_initial_timestamp=1.0) == set(range(BEGIN, BEGIN + 51))


def test_timestamps_outweigh_a_less_likely_text_token():
    logits = np.zeros(N_VOCAB, np.float32)
    logits[7] = math.log(1490) - 0.01  # 1,495 timestamps are left after the sixth
    assert allowed([BEGIN + 5, 7], logits) == set(range(BEGIN + 6, N_VOCAB))
    logits[7] = math.log(1500)
    assert allowed([BEGIN + 5, 7], logits) == TEXT | SPECIAL | set(range(BEGIN + 6, N_VOCAB))


def test_random_transcripts_follow_the_rules():
    filters = logit_filters(TOKENIZER, DecodingOptions(), N_VOCAB)
    decoder, hypotheses = SamplingDecoder(1, 1.0, EOT), Hypotheses.empty(12)
    mx.random.seed(0)
    for _ in range(25):
        logits = mx.random.normal((12, N_VOCAB)) * 3
        logits[:, EOT] += 9
        logits[:, BEGIN:] -= mx.random.uniform(shape=(12, 1)) * 8
        for logit_filter in filters:
            logits = logit_filter.apply(logits, hypotheses.tokens)
        hypotheses, _ = decoder.step(hypotheses, logits)
    lengths = set()
    for row in hypotheses.tokens.tolist():
        tokens = row[: row.index(EOT)] if EOT in row else row
        lengths.add(len(tokens))
        times = [token - BEGIN for token in tokens if token >= BEGIN]
        assert times == sorted(times) and 0 <= times[0] <= 50
        assert not set(tokens) & {*TOKENIZER.non_speech_tokens, TOKENIZER.sot, TOKENIZER.no_speech}
        shape = "".join("t" if token >= BEGIN else "w" for token in tokens)
        assert ("ttt" not in shape and shape.startswith("tw")) or shape == "t"
        starts, ends = times[0::2], times[1::2]
        assert all(start < end for start, end in zip(starts, ends, strict=False))
    assert len(lengths) > 5


@pytest.mark.parametrize("options", [{}, {"suppress_tokens": ""}, {"suppress_tokens": "", "without_timestamps": True}])
@pytest.mark.parametrize("tokens", [[], [50364], [50364, 7], [50364, 7, 50400], [50364, 7, 50400, 50400]])
def test_the_token_of_a_new_language_is_never_generated_and_is_not_a_time(options, tokens):
    """It lies behind the timestamps. The others have the scores that they have without it."""
    new = get_tokenizer(True, language="dv", new_language="dv")
    logits = np.random.default_rng(1).standard_normal((1, N_VOCAB)).astype(np.float32)
    more = np.concatenate([logits, np.full((1, 1), 50, np.float32)], axis=1)  # it would win, and so would all times

    def filtered(tokenizer, logits):
        for each in logit_filters(tokenizer, DecodingOptions(**options), logits.shape[1]):
            logits = each.apply(mx.array(logits), mx.array([tokens], mx.int32))
        return np.array(logits)

    found = filtered(new, more)
    assert found[0, N_VOCAB] == -np.inf
    np.testing.assert_array_equal(found[:, :N_VOCAB], filtered(TOKENIZER, logits))


def test_blanks_are_suppressed_at_the_start_only():
    blank, _, _ = logit_filters(TOKENIZER, DecodingOptions(), N_VOCAB)
    space = TOKENIZER.encode(" ")[0]
    first, second = (blank.apply(mx.zeros((1, N_VOCAB)), mx.zeros((1, n), mx.int32)) for n in (0, 1))
    assert np.flatnonzero(np.array(first[0])).tolist() == [space, EOT]
    assert not np.array(second).any()


def test_compression_ratio():
    assert compression_ratio("") == 0
    assert compression_ratio("so it goes " * 30) > 2.4 > compression_ratio("so it goes, and on it went elsewhere")
