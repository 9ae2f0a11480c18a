"""Programs that others wrote for openai-whisper and mlx-whisper, unchanged, with this package in their place."""

import contextlib
import json
import sys
from collections.abc import Iterator
from types import ModuleType

import numpy as np
import pytest

import mlx_whisper_lora
from tests.parity.pairs import DEMO, pair, recording
from tests.support.stand_in import standing_in_for

SAMPLES = recording()[: 16000 * 7]
OPTIONS = {"language": "en", "temperature": 0.0}


@contextlib.contextmanager
def stable_ts() -> Iterator[ModuleType]:
    """Import stable-ts, which imports mlx-whisper."""
    with standing_in_for("mlx_whisper"):
        # It imports torchaudio to resample, which 16 kHz samples do not need. What PyPI has for Linux needs CUDA, and
        # without CUDA, transformers cannot be imported beside it.
        sys.modules.setdefault("torchaudio", ModuleType("torchaudio"))
        import stable_whisper

        yield stable_whisper


@pytest.fixture(scope="module")
def theirs() -> dict:
    """Return openai-whisper's transcript."""
    return pair(DEMO).theirs.transcribe(SAMPLES, fp16=False, word_timestamps=True, **OPTIONS)


def assert_same_words(result, theirs: dict, seconds: float) -> None:
    """Check that a result of stable-ts has the words of a transcript, which start within some `seconds`."""
    found = result.all_words()
    expected = [word for segment in theirs["segments"] for word in segment["words"]]
    assert [word.word for word in found] == [word["word"] for word in expected]
    np.testing.assert_allclose([word.start for word in found], [word["start"] for word in expected], atol=seconds)


def test_stable_ts_transcribes_on_its_backend_for_mlx(theirs):
    with stable_ts() as stable_whisper:
        model = stable_whisper.load_mlx_whisper("demo")
        result = model.transcribe(SAMPLES, suppress_silence=False, regroup=False, **OPTIONS)
        with_its_defaults = model.transcribe(SAMPLES, language="en")
    assert result.text == with_its_defaults.text == theirs["text"]
    assert_same_words(result, theirs, seconds=0.021)


def test_stable_ts_aligns_a_text_on_its_backend_for_mlx(theirs):
    with stable_ts() as stable_whisper:
        model = stable_whisper.load_mlx_whisper("demo")
        aligned = model.align(SAMPLES, theirs["text"], language="en", suppress_silence=False)
        segments = [{name: segment[name] for name in ("start", "end", "text")} for segment in theirs["segments"]]
        timed = model.align_words(SAMPLES, segments, language="en", suppress_silence=False)
    for result in (aligned, timed):
        assert_same_words(result, theirs, seconds=0.5)


@pytest.mark.parametrize("options", [{}, {"show_dict": True, "load_options": {"device": "cpu", "in_memory": True}}])
def test_speech_recognition_recognizes_with_whisper(options, theirs):
    with standing_in_for("whisper"):
        import speech_recognition

        audio = speech_recognition.AudioData((SAMPLES * 32767).astype("<i2").tobytes(), 16000, 2)
        recognized = speech_recognition.Recognizer().recognize_whisper(audio, model="demo", **OPTIONS, **options)
    text = recognized["text"] if options else recognized
    assert text == theirs["text"]


def shape(value) -> object:
    """Return the keys and types of a transcript."""
    if isinstance(value, dict):
        return {name: shape(part) for name, part in value.items()}
    if isinstance(value, list):
        return [shape(part) for part in value[:1]]
    return type(value)


def test_a_transcript_has_openai_whispers_keys_and_types(theirs):
    model = mlx_whisper_lora.load_model("demo")
    ours = model.transcribe(SAMPLES, fp16=False, word_timestamps=True, **OPTIONS)
    assert shape(ours) == shape(json.loads(json.dumps(theirs)))  # some of its floats are NumPy's


def test_a_window_has_openai_whispers_fields_and_types():
    models = pair(DEMO)
    import whisper

    mel = whisper.log_mel_spectrogram(whisper.pad_or_trim(SAMPLES))
    theirs = models.theirs.decode(mel, whisper.DecodingOptions(fp16=False, task="lang_id", language="de"))
    ours = mlx_whisper_lora.decode(models.ours, mel.T, mlx_whisper_lora.DecodingOptions(task="lang_id", language="de"))
    assert list(vars(ours)) == list(vars(theirs))
    assert ours.language == theirs.language == "en"
    assert ours.language_probs == pytest.approx(theirs.language_probs, abs=1e-4)
    assert (ours.text, ours.tokens, ours.temperature) == (
        theirs.text,
        theirs.tokens,
        pytest.approx(np.nan, nan_ok=True),
    )
