"""Transcribing with the models of the page, without the page."""

import numpy as np
import pytest
import soundfile

from mlx_whisper_lora.adapters.loading import load_model
from mlx_whisper_lora.adapters.open import open_adapter
from mlx_whisper_lora.studio_page.models import StudioModels
from mlx_whisper_lora.studio_page.transcribing import Request, Transcriber
from mlx_whisper_lora.whisper.assets import DEMO_AUDIO
from mlx_whisper_lora.whisper.audio.constants import SAMPLE_RATE
from mlx_whisper_lora.whisper.audio.errors import AudioError
from mlx_whisper_lora.whisper.audio.load import load_audio
from mlx_whisper_lora.whisper.transcription.options import TranscriptionOptions
from tests.support.models import small_model


@pytest.fixture(scope="module")
def transcriber(adapter_file) -> Transcriber:
    models = StudioModels("demo", load_model("demo"), open_adapter(adapter_file))
    return Transcriber(models, TranscriptionOptions(language="en", temperature=0.0))


def test_one_model_follows_the_other_and_the_last_steps_have_the_whole_transcripts(transcriber, tmp_path):
    recording = str(tmp_path / "long.wav")
    soundfile.write(recording, load_audio(DEMO_AUDIO, end=40.0), SAMPLE_RATE)
    steps = list(transcriber.steps(Request(recording, "en")))
    assert [step.column for step in steps] == sorted(step.column for step in steps) and len(steps) >= 4
    assert [step.column for step in steps if step.is_last] == [0, 1]
    expected = load_model("demo").transcribe(recording, language="en", temperature=0.0, word_timestamps=True)
    assert next(step.result for step in steps if step.is_last) == expected


def test_a_recording_without_a_whole_frame_has_an_empty_transcript(transcriber, tmp_path):
    recording = str(tmp_path / "click.wav")
    soundfile.write(recording, np.ones(100), SAMPLE_RATE)
    steps = list(transcriber.steps(Request(recording, "en")))
    assert [(step.is_last, step.result["text"], step.seconds) for step in steps] == [(True, "", 0.0)] * 2


def test_the_words_of_a_translation_are_not_timed(transcriber, talk):
    last = list(transcriber.steps(Request(str(talk), "en", "translate")))[-1]
    assert last.result["segments"] and all("words" not in segment for segment in last.result["segments"])


@pytest.mark.parametrize(("level", "silent"), [(0.0, True), (5e-5, True), (2e-4, False)])
def test_a_silent_recording_is_an_error(level, silent, transcriber, tmp_path):
    recording = str(tmp_path / "x.wav")
    soundfile.write(recording, np.full(SAMPLE_RATE, level), SAMPLE_RATE, subtype="FLOAT")
    if silent:
        with pytest.raises(AudioError, match=r"^x.wav: the recording is silent; is the microphone on"):
            next(transcriber.steps(Request(recording, "en")))
    else:
        assert next(transcriber.steps(Request(recording, "en"))).done == 1.0


def test_options_that_a_model_cannot_follow_are_an_error_before_there_is_a_page():
    models = StudioModels("x.en", small_model(n_vocab=51864))
    assert models.languages == () and Transcriber(models, TranscriptionOptions()).options.language == "en"
    with pytest.raises(ValueError, match="this model is English-only: it cannot transcribe language 'te'"):
        Transcriber(models, TranscriptionOptions(language="te"))
    with pytest.raises(ValueError, match="this model is English-only: it cannot translate language 'en'"):
        Transcriber(models, TranscriptionOptions(task="translate"))
