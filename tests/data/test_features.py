"""From a clip to what the encoder sees and the decoder learns."""

import numpy as np
import pytest

from mlx_whisper_lora.data.features import clip_frames, context_frames, pad_frames
from mlx_whisper_lora.data.labels import transcript_tokens, window_tokens
from mlx_whisper_lora.whisper.audio.constants import N_SAMPLES
from mlx_whisper_lora.whisper.audio.load import pad_or_trim
from mlx_whisper_lora.whisper.audio.log_mel import log_mel_spectrogram
from mlx_whisper_lora.whisper.text.tokenizer import get_tokenizer
from tests.support.clips import tone


def samples_of(kind: str, length: int) -> np.ndarray:
    if kind == "silence":
        return np.zeros(length, np.float32)
    if kind == "noise":
        return np.random.default_rng(0).standard_normal(length).astype(np.float32) * 0.1
    return tone(length / 16000)


@pytest.mark.parametrize("length", [100, 1600, 16000, 47_999, 250_123, N_SAMPLES - 400])
@pytest.mark.parametrize("kind", ["tone", "noise", "silence"])
def test_stored_frames_and_their_padding_are_the_spectrogram_of_the_padded_clip(kind, length):
    samples = samples_of(kind, length)
    window = pad_frames(clip_frames(samples, 80), 3000)
    expected = np.array(log_mel_spectrogram(pad_or_trim(samples), 80))
    assert window.shape == expected.shape == (3000, 80)
    np.testing.assert_allclose(window.astype(np.float32), expected, atol=2e-3)  # float16


@pytest.mark.parametrize("length", [N_SAMPLES - 100, N_SAMPLES])
def test_a_clip_that_fills_the_window_is_followed_by_silence_as_in_transcription(length):
    samples = samples_of("noise", length)
    expected = np.array(log_mel_spectrogram(samples, 80, padding=N_SAMPLES))[:3000]
    np.testing.assert_allclose(clip_frames(samples, 80).astype(np.float32), expected, atol=2e-3)


def test_frames_are_few_and_even():
    mel = clip_frames(tone(1.0), 128)
    assert mel.shape == (104, 128) and mel.dtype == np.float16


def test_padding_cuts_to_a_shorter_context():
    mel = clip_frames(tone(1.0), 80)
    np.testing.assert_array_equal(pad_frames(mel, 100), mel[:100])
    assert [context_frames(seconds) for seconds in (0, 30, 5, 0.98)] == [None, 3000, 500, 98]


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


def test_a_clip_without_text_teaches_that_nothing_is_said():
    tokenizer = get_tokenizer(True, language="en")
    assert transcript_tokens(tokenizer, "  ") == ((tokenizer.sot, tokenizer.no_speech, tokenizer.eot), 1)


def test_text_that_looks_like_a_special_token_stays_text():
    tokenizer = get_tokenizer(True, language="en")
    tokens, prompt_length = transcript_tokens(tokenizer, "<|endoftext|>")
    assert max(tokens[prompt_length:-1]) < tokenizer.eot
    assert tokenizer.decode(tokens[prompt_length:-1]) == " <|endoftext|>"


def test_windows_carry_timestamps_and_what_was_said_before():
    tokenizer = get_tokenizer(True, language="en")
    tokens, prompt_length = window_tokens(
        tokenizer, [(0.0, 1.5, "one"), (2.0, None, "tw")], previous=tokenizer.encode(" zero")
    )
    assert tokenizer.decode_with_timestamps(tokens) == (
        "<|startofprev|> zero<|startoftranscript|><|en|><|transcribe|><|0.00|> one<|1.50|><|2.00|><|endoftext|>"
    )
    assert tokens[prompt_length] == tokenizer.timestamp(0.0)
