"""Long recordings: the same segments, with every option."""

import numpy as np
import pytest

from mlx_whisper_lora.whisper.transcription.long_form import transcribe
from mlx_whisper_lora.whisper.transcription.options import TEMPERATURES
from tests.parity.pairs import DEMO, pair, recording
from tests.support.references import assert_same_transcript
from tests.support.scripted import scripted_transcription
from tools.references import theirs
from tools.references.seeded import chirps

SECONDS = 65  # three windows
NAMES = "Glossary: sister, mouse, bread."
OPTIONS = {
    "default": {},
    "language": {"language": "en"},
    "translate": {"task": "translate"},
    "initial_prompt": {"initial_prompt": NAMES},
    "carry_initial_prompt": {"initial_prompt": NAMES, "carry_initial_prompt": True},
    "condition_on_previous_text": {"condition_on_previous_text": False},
    "clip_timestamps": {"clip_timestamps": "3,21.5,30,58"},
    "clip_timestamps, the last open": {"clip_timestamps": [12.34, 20, 41]},
    "without_timestamps": {"without_timestamps": True},
    "temperature": {"temperature": 1e-7, "best_of": 2},
    "word_timestamps": {"word_timestamps": True},
    "punctuations": {"word_timestamps": True, "prepend_punctuations": "", "append_punctuations": ".,"},
    "hallucination_silence_threshold": {"word_timestamps": True, "hallucination_silence_threshold": 0.5},
    "beam_size": {"beam_size": 5, "best_of": 3},
    "patience": {"beam_size": 5, "patience": 2.0},
}
# Of the seeded model, short windows of text without meaning. Sampled text cannot be compared, so no temperature above 0
# but some that are too small to change the choice of a token.
ALWAYS = {
    DEMO: {"temperature": 0.0},
    "multilingual": {"temperature": 0.0, "sample_len": 20, "no_speech_threshold": None},
}
models = pytest.mark.parametrize("name", ALWAYS)


def sound(name: str) -> np.ndarray:
    return recording()[: 16000 * SECONDS] if name == DEMO else chirps(SECONDS)


def same_transcript(name: str, options: dict) -> dict:
    """Check that both sides make the same transcript, and return it."""
    options = {**ALWAYS[name], **options}
    result = transcribe(pair(name).ours, sound(name), **options)
    assert_same_transcript(result, theirs.transcribe(pair(name).theirs, sound(name), **options))
    return result


@models
@pytest.mark.parametrize("option", OPTIONS)
def test_segments_agree(name, option):
    same_transcript(name, OPTIONS[option])


def test_segments_of_the_whole_recording_agree_with_words():
    expected = theirs.transcribe(pair(DEMO).theirs, recording(), temperature=0.0, word_timestamps=True)
    result = transcribe(pair(DEMO).ours, recording(), temperature=0.0, word_timestamps=True)
    assert_same_transcript(result, expected)

    # These hold for any good transcript.
    tokenizer = pair(DEMO).ours.tokenizer(result["language"])
    tokens = [token for segment in result["segments"] for token in segment["tokens"]]
    assert result["text"] == "".join(segment["text"] for segment in result["segments"]) == tokenizer.decode(tokens)
    assert tokenizer.decode_with_timestamps(tokens).startswith("<|0.00|>")
    for segment in result["segments"]:
        assert "".join(word["word"] for word in segment["words"]) == segment["text"]
        assert all(word["start"] <= word["end"] for word in segment["words"])


def parting_value(segments: list[dict], name: str) -> float:
    """Return a threshold that some windows pass and others fail: the middle of the widest gap between their values."""
    values = sorted({segment[name] for segment in segments})
    gap = int(np.argmax(np.diff(values)))
    return (values[gap] + values[gap + 1]) / 2


@models
@pytest.mark.parametrize("name_of_value", ["avg_logprob", "compression_ratio"])
def test_the_same_windows_are_tried_again(name, name_of_value):
    options = {"logprob_threshold": None, "compression_ratio_threshold": None, "no_speech_threshold": None}
    plain = transcribe(pair(name).ours, sound(name), **{**ALWAYS[name], **options})
    threshold = "logprob_threshold" if name_of_value == "avg_logprob" else "compression_ratio_threshold"
    options[threshold] = parting_value(plain["segments"], name_of_value)
    result = same_transcript(name, {**options, "temperature": (0.0, 1e-7, 2e-7)})
    assert {segment["temperature"] for segment in result["segments"]} == {0.0, 2e-7}


@models
def test_the_same_windows_are_silent(name):
    options = {"logprob_threshold": None, "no_speech_threshold": None}
    plain = transcribe(pair(name).ours, sound(name), **{**ALWAYS[name], **options})
    threshold = parting_value(plain["segments"], "no_speech_prob")
    result = same_transcript(name, {**options, "no_speech_threshold": threshold})
    assert result["segments"] != plain["segments"]
    assert all(segment["no_speech_prob"] <= threshold for segment in result["segments"])


def scripted_options(seed: int) -> dict:
    """Choose a random value for every option."""
    random = np.random.default_rng([seed, 2])

    def some(*values):
        return values[random.integers(len(values))]

    clips = np.sort(random.choice(5900, some(1, 2, 3, 4), replace=False)) / 100
    return {
        "language": some("en", "ja"),
        "temperature": some(0.0, 0.7, (0.0, 0.2), TEMPERATURES),
        "compression_ratio_threshold": some(2.4, 2.4, 1.0, None),
        "logprob_threshold": some(-1.0, -1.0, -0.2, None),
        "no_speech_threshold": some(0.6, 0.6, 0.1, None),
        "condition_on_previous_text": some(True, True, False),
        "initial_prompt": (prompt := some(None, NAMES, "mouse " * 150)),
        "carry_initial_prompt": prompt is not None and some(True, False),
        "clip_timestamps": some("0", clips.tolist(), ",".join(map(str, clips))),
        "word_timestamps": (words := some(True, True, False)),
        "prepend_punctuations": some("\"'“¿([{-", "“("),
        "append_punctuations": some("\"'.。,，!！?？:：”)]}、", ".,"),
        "hallucination_silence_threshold": some(None, 0.5, 1.0, 2.0) if words else None,
    }


# Seed 108 has a window with an empty segment at 0.00. openai-whisper does not move forward there, and decodes the
# window again for as long as the model generates the same. The port continues.
@pytest.mark.parametrize("seed", sorted({*range(100, 200)} - {108}))
def test_the_loop_makes_the_same_of_scripted_windows(seed):
    options = scripted_options(seed)
    result, prompts = theirs.scripted_transcription(seed, 60, **options)
    assert (result, prompts) == scripted_transcription(seed, 60, **options)
