"""Decoding one window."""

import math

import mlx.core as mx
import numpy as np
import pytest

from mlx_whisper_lora.whisper.decoding.decode import compression_ratio, decode, generate, initial_tokens
from mlx_whisper_lora.whisper.decoding.language import detect_language
from mlx_whisper_lora.whisper.decoding.logit_filters import TimestampRules, logit_filters
from mlx_whisper_lora.whisper.decoding.options import DecodingOptions
from mlx_whisper_lora.whisper.decoding.search import BeamSearchDecoder, Hypotheses, SamplingDecoder, best_sequence
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


def test_short_windows_are_decoded():
    model = seeded_model("multilingual")
    result = decode(model, window_mels(80)[0, :500], language="en", sample_len=5)
    assert result.audio_features.shape == (250, 64) and len(result.tokens) == 5


def test_a_wrong_shape_says_which_is_right():
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
        ("multilingual", {"temperature": 0.0, "best_of": 5}, "best_of"),
        ("multilingual", {"temperature": 0.5, "best_of": 0}, "best_of"),
        ("multilingual", {"temperature": -1}, "negative"),
        ("multilingual", {"temperature": 0.5, "beam_size": 5}, "beam_size"),
        ("multilingual", {"beam_size": 0}, "beam_size"),
        ("multilingual", {"patience": 2.0}, "patience"),
        ("multilingual", {"beam_size": 5, "patience": 0.0}, "patience"),
        ("multilingual", {"length_penalty": 1.5}, "length_penalty"),
    ],
)
def test_options_that_cannot_be_followed(variant, options, message):
    with pytest.raises(ValueError, match=message):
        decode(seeded_model(variant), window_features(variant)[0], **options)


def test_the_text_context_is_filled_and_not_exceeded():
    model = seeded_model("english")
    options = DecodingOptions(prompt=list(range(300, 900)), sample_len=1000, suppress_tokens=[50256])  # never ends
    result = decode(model, window_features("english")[0], options)
    assert len(result.tokens) == 448 - 225 + 1  # the last one is read by nobody


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


def test_best_of_keeps_the_likeliest_sample():
    model, features = seeded_model("multilingual"), window_features("multilingual")[:2]
    options = DecodingOptions(language="en", temperature=1.0, best_of=4, sample_len=8)
    mx.random.seed(3)
    samples, sum_logprobs, _ = generate(model, features, [TOKENIZER] * 2, options)
    mx.random.seed(3)
    for window, result in enumerate(decode(model, features, options)):
        means = [total / len(tokens) for tokens, total in zip(samples[window], sum_logprobs[window], strict=True)]
        assert len(set(means)) == 4 and result.tokens == samples[window][np.argmax(means)]


def test_samples_near_temperature_zero_are_the_greedy_ones():
    model, features = seeded_model("multilingual"), window_features("multilingual")
    options = DecodingOptions(language="en", sample_len=20)
    greedy = [result.tokens for result in decode(model, features, options)]
    sampled = decode(model, features, options, temperature=1e-7, best_of=2)
    assert [result.tokens for result in sampled] == greedy


def test_likeliest_goes_by_the_mean():
    assert best_sequence([[1, 2, 3, 4], [1]], [-4.0, -1.5], None) == 0
    assert best_sequence([[], [1]], [-5.0, -1.5], None) == 1
    assert best_sequence([[1, 2, 3, 4], [1]], [-4.0, -1.5], 0.0) == 1  # no reward for length


def test_a_finished_sequence_stays_finished():
    logits = mx.array([[0.0, 1.0, 5.0], [3.0, 1.0, 0.0]])
    strategy = SamplingDecoder(1, 0.0, eot=2)
    once, _ = strategy.extend(Hypotheses.nothing(2), logits)
    twice, _ = strategy.extend(once, logits[::-1])
    assert twice.tokens.tolist() == [[2, 2], [0, 2]]
    assert (once.all_ended.item(), twice.all_ended.item()) == (False, True)
    assert twice.sum_logprobs[0].item() == once.sum_logprobs[0].item()


# Probabilities of the next token, of 0, 1, the end 2 and others that never come, after 0, 1, ... and after the start.
# Token 0 looks best at first, but the likeliest whole is "1 2", at 0.36.
EIGHT, START = 8, 8
NEXT = np.full((EIGHT + 1, EIGHT), 1e-9, np.float32)
NEXT[[0, 1, START], :3] = [[0.35, 0.35, 0.3], [0.05, 0.05, 0.9], [0.55, 0.4, 0.05]]
NEXT = np.log(NEXT)


def search(strategy, windows: int = 2) -> tuple:
    """Both windows' sequences after as many steps as it takes."""
    written = Hypotheses.nothing(windows * strategy.sequences_per_window)
    for _ in range(20):
        last = np.array(written.tokens[:, -1]) if written.tokens.shape[1] else np.full(len(written.sum_logprobs), START)
        written, _ = strategy.extend(written, mx.array(NEXT[last]))
        if written.all_ended.item():
            break
    return strategy.sequences(written)


def test_beam_search_finds_what_greedy_decoding_misses():
    (greedy, _), _ = search(SamplingDecoder(1, 0.0, eot=2))
    assert greedy[0][0] == 0
    for tokens, sums in zip(*search(BeamSearchDecoder(2, None, eot=2)), strict=True):
        assert tokens[best_sequence(tokens, sums, 0.0)] == [1]
        assert max(sums) == pytest.approx(np.log(0.4 * 0.9), abs=1e-5)


def test_patience_waits_for_more_sequences():
    tokens, _ = search(BeamSearchDecoder(2, 3.0, eot=2))
    assert [len(window) for window in tokens] == [6, 6]
    assert all(len({tuple(sequence) for sequence in window}) == 6 for window in tokens)


def test_unfinished_beams_stand_in_for_missing_ones():
    strategy = BeamSearchDecoder(3, None, eot=2)
    written, rows = strategy.extend(Hypotheses.nothing(3), mx.array(NEXT[[START] * 3]))
    assert rows.tolist() == [0, 0, 0]
    tokens, sums = strategy.sequences(written)
    assert tokens == [[[], [0], [1]]]
    assert sums[0] == pytest.approx(np.log([0.05, 0.55, 0.4]), abs=1e-5)


@pytest.mark.parametrize("patience", [None, 0.5])
def test_beams_and_windows_together_are_as_one_by_one(patience):
    model, features = seeded_model("english"), window_features("english")
    options = DecodingOptions(beam_size=4, patience=patience, sample_len=24)
    together = decode(model, features, options)
    assert [result.tokens for result in together] == [decode(model, one, options).tokens for one in features]


def allowed(tokens: list[int], logits: np.ndarray | None = None, **options) -> set[int]:
    """The tokens that the timestamp rules leave after `tokens`, where text is far likelier than timestamps."""
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


def test_random_transcripts_keep_the_rules():
    rules = logit_filters(TOKENIZER, DecodingOptions(), N_VOCAB)
    strategy, written = SamplingDecoder(1, 1.0, EOT), Hypotheses.nothing(12)
    mx.random.seed(0)
    for _ in range(25):
        logits = mx.random.normal((12, N_VOCAB)) * 3
        logits[:, EOT] += 9
        logits[:, BEGIN:] -= mx.random.uniform(shape=(12, 1)) * 8
        for rule in rules:
            logits = rule.apply(logits, written.tokens)
        written, _ = strategy.extend(written, logits)
    lengths = set()
    for row in written.tokens.tolist():
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


def test_blanks_are_suppressed_at_the_start_only():
    blank, _, _ = logit_filters(TOKENIZER, DecodingOptions(), N_VOCAB)
    space = TOKENIZER.encode(" ")[0]
    first, second = (blank.apply(mx.zeros((1, N_VOCAB)), mx.zeros((1, n), mx.int32)) for n in (0, 1))
    assert np.flatnonzero(np.array(first[0])).tolist() == [space, EOT]
    assert not np.array(second).any()


def test_compression_ratio():
    assert compression_ratio("") == 0
    assert compression_ratio("so it goes " * 30) > 2.4 > compression_ratio("so it goes, and on it went elsewhere")
