"""Text to tokens and back, for the three vocabularies."""

import pytest

from mlx_whisper_lora.whisper.text.tokenizer import get_tokenizer
from tests.support.references import reference

CASES = {f"multilingual={case['multilingual']}-{case['num_languages']}": case for case in reference("tokenizers")}


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


@pytest.fixture
def tokenizer(case):
    return get_tokenizer(case["multilingual"], num_languages=case["num_languages"], language="te", task="translate")


def test_special_tokens_are_openai_whispers(tokenizer, case):
    assert {name: getattr(tokenizer, name) for name in case["special"]} == case["special"]
    assert list(tokenizer.sot_sequence) == case["sot_sequence"]
    tokens = dict(zip(tokenizer.all_language_codes, tokenizer.all_language_tokens, strict=True))
    assert tokens == case["language_tokens"]


def test_texts_have_openai_whispers_tokens_and_come_back(tokenizer, case):
    for text, tokens in case["texts"]:
        assert tokenizer.encode(text) == tokens
        assert tokenizer.decode(tokens) == text


def test_non_speech_tokens_are_openai_whispers(tokenizer, case):
    assert list(tokenizer.non_speech_tokens) == case["non_speech_tokens"]


def test_timestamps_are_dropped_or_written_out(tokenizer):
    tokens = [tokenizer.timestamp(0), *tokenizer.encode(" one"), tokenizer.timestamp(1.08)]
    assert tokenizer.decode(tokens) == " one"
    assert tokenizer.decode_with_timestamps(tokens) == "<|0.00|> one<|1.08|>"
    assert tokenizer.timestamp(99) == tokenizer.timestamp_begin + 1500


@pytest.mark.parametrize("num_languages", [99, 100])
def test_a_new_language_is_the_last_token_and_the_others_keep_their_ids(num_languages):
    plain = get_tokenizer(True, num_languages=num_languages)
    tokenizer = get_tokenizer(True, num_languages=num_languages, language="dv", new_language="dv")
    new = plain.encoding.n_vocab
    assert tokenizer.special_tokens == plain.special_tokens | {"<|dv|>": new}
    assert tokenizer.sot_sequence == (tokenizer.sot, new, tokenizer.transcribe)
    assert tokenizer.all_language_tokens == (*plain.all_language_tokens, new)
    assert tokenizer.all_language_codes == (*plain.all_language_codes, "dv")
    assert tokenizer.timestamp_end == new and tokenizer.timestamp(99) == new - 1
    assert new in tokenizer.suppressed_tokens([], new + 1)


def test_english_only_has_no_language_token():
    with pytest.raises(ValueError, match="English-only"):
        _ = get_tokenizer(False).language_token


@pytest.mark.parametrize("options", [{"language": "klingon"}, {"language": "xx"}, {"task": "sing"}])
def test_an_unknown_language_or_task_is_refused(options):
    with pytest.raises(ValueError, match="unknown"):
        get_tokenizer(True, **options)
