"""Tokens for the decoder."""

from mlx_whisper_lora.data.labels import (
    add_previous,
    learn_language,
    move_end,
    stretch_times,
    transcript_tokens,
    window_tokens,
)
from mlx_whisper_lora.whisper.text.tokenizer import get_tokenizer


def test_labels_start_with_the_full_start_of_transcript():
    tokenizer = get_tokenizer(True, language="te", task="translate")
    tokens, prompt_length = transcript_tokens(tokenizer, " good morning ")
    assert tokens[:prompt_length] == (
        tokenizer.sot,
        tokenizer.to_language_token("te"),
        tokenizer.translate,
        tokenizer.no_timestamps,
    )
    assert tokens[prompt_length:] == (*tokenizer.encode(" good morning"), tokenizer.eot)


def test_labels_of_an_english_only_model_have_no_language():
    tokenizer = get_tokenizer(False)
    tokens, prompt_length = transcript_tokens(tokenizer, "yes")
    assert tokens[:prompt_length] == (tokenizer.sot, tokenizer.no_timestamps)


def test_the_language_is_learned_if_the_vocabulary_has_a_new_one():
    tokenizer = get_tokenizer(True, language="dv", new_language="dv")
    label = learn_language(add_previous(transcript_tokens(tokenizer, "yes"), tokenizer, (7, 8)), tokenizer)
    assert label.tokens[: label.prompt_length] == (tokenizer.sot_prev, 7, 8, tokenizer.sot)
    assert label.tokens[label.prompt_length] == 51865
    known = get_tokenizer(True, language="te")
    assert learn_language(transcript_tokens(known, "yes"), known) == transcript_tokens(known, "yes")


def test_the_token_of_a_new_language_is_not_a_time_that_is_moved():
    tokenizer = get_tokenizer(True, language="dv", new_language="dv")
    label = learn_language(window_tokens(tokenizer, [(0.0, 2.0, "yes")]), tokenizer)
    longer = window_tokens(tokenizer, [(0.0, 4.0, "yes")]).tokens
    assert stretch_times(label, tokenizer.timestamp_begin, 2).tokens == longer
    assert move_end(label, tokenizer.timestamp_begin, 2).tokens == longer


def test_the_label_of_a_clip_without_text_is_no_speech():
    tokenizer = get_tokenizer(True, language="en")
    assert transcript_tokens(tokenizer, "  ") == ((tokenizer.sot, tokenizer.no_speech, tokenizer.eot), 1)


def test_text_that_looks_like_a_special_token_stays_text():
    tokenizer = get_tokenizer(True, language="en")
    tokens, prompt_length = transcript_tokens(tokenizer, "<|endoftext|>")
    assert max(tokens[prompt_length:-1]) < tokenizer.eot
    assert tokenizer.decode(tokens[prompt_length:-1]) == " <|endoftext|>"


def test_the_label_of_a_window_has_timestamps_and_the_text_before():
    tokenizer = get_tokenizer(True, language="en")
    label = window_tokens(tokenizer, [(0.0, 1.5, "one"), (2.0, None, "tw")])
    tokens, prompt_length = add_previous(label, tokenizer, tokenizer.encode(" zero"))
    assert tokenizer.decode_with_timestamps(tokens) == (
        "<|startofprev|> zero<|startoftranscript|><|en|><|transcribe|><|0.00|> one<|1.50|><|2.00|><|endoftext|>"
    )
    assert tokens[prompt_length] == tokenizer.timestamp(0.0)
