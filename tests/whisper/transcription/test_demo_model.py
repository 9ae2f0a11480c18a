"""The bundled model: it gives openai-whisper's results, and transcribes most of its own recording."""

import json

import numpy as np
import pytest

from mlx_whisper_lora.training.metrics import word_error_rate
from mlx_whisper_lora.whisper.assets import DEMO_AUDIO, DEMO_MODEL, DEMO_RECORDING
from mlx_whisper_lora.whisper.audio.constants import SAMPLE_RATE
from mlx_whisper_lora.whisper.audio.load import load_audio
from mlx_whisper_lora.whisper.checkpoints.load import load_model
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.transcription.long_form import Transcription, transcribe
from mlx_whisper_lora.whisper.transcription.options import TranscriptionOptions
from mlx_whisper_lora.whisper.transcription.windows import transcribe_side_by_side
from tests.support.references import reference

pytestmark = pytest.mark.slow

WER = 40  # a fault in decoding or in the loop over windows leaves two words in three wrong


@pytest.fixture(scope="module")
def model() -> Whisper:
    return load_model(DEMO_MODEL)


def transcribed(model: Whisper, **options) -> dict:
    """Transcribe the two-minute recording at temperature 0: sampled text could not be compared."""
    return transcribe(model, DEMO_AUDIO, temperature=0.0, **options)


@pytest.fixture(scope="module")
def transcript(model) -> dict:
    return transcribed(model)


@pytest.fixture(scope="module")
def spoken() -> dict:
    """The text of the recording, with times."""
    return json.loads((DEMO_RECORDING / "reference.json").read_text(encoding="utf-8"))


def test_text_and_segments_are_openai_whispers(transcript):
    expected = reference("demo")
    assert (transcript["text"], transcript["language"]) == (expected["text"], expected["language"])
    for segment, other in zip(transcript["segments"], expected["segments"], strict=True):
        assert {name: segment[name] for name in other} == other


def test_beam_search_finds_what_openai_whispers_does(model):
    segments = transcribed(model, beam_size=5, patience=2.0)["segments"]
    for segment, other in zip(segments, reference("demo")["searched_segments"], strict=True):
        assert {name: segment[name] for name in other} == other


@pytest.fixture(scope="module")
def timed_transcript(model) -> dict:
    """The transcript with words."""
    return transcribed(model, word_timestamps=True)


def test_word_times_are_openai_whispers(timed_transcript):
    words = [word for segment in timed_transcript["segments"] for word in segment["words"]]
    expected = reference("demo")["words"]
    assert [word["word"] for word in words] == [word for word, _, _ in expected]
    times = np.array([[word["start"], word["end"]] for word in words])
    assert np.abs(times - [times for _, *times in expected]).max() <= 0.02 + 1e-9


def test_words_lie_within_their_segments(timed_transcript):
    for segment in timed_transcript["segments"]:
        times = [time for word in segment["words"] for time in (word["start"], word["end"])]
        assert times == sorted(times)
        assert "".join(word["word"] for word in segment["words"]) == segment["text"]


def test_most_words_of_an_unknown_voice_are_right(transcript, spoken):
    assert transcript["language"] == spoken["language"]
    assert word_error_rate([spoken["text"]], [transcript["text"]]) < WER


def errors_of_starts(transcript, spoken) -> list[float]:
    """Return the errors of the starts, in seconds, of segments whose text is right."""
    starts = {segment["text"]: segment["start"] for segment in transcript["segments"]}
    heard = [said for said in spoken["segments"] if " " + said["text"] in starts]
    assert len(heard) > len(spoken["segments"]) / 3
    return [abs(starts[" " + said["text"]] - said["start"]) for said in heard]


def test_segments_start_on_time(transcript, spoken):
    assert np.mean(np.array(errors_of_starts(transcript, spoken)) < 0.3) > 0.9


def test_segments_start_on_time_in_batches(model, spoken):
    transcript = transcribed(model, batch_size=4)
    assert word_error_rate([spoken["text"]], [transcript["text"]]) < WER
    assert np.mean(np.array(errors_of_starts(transcript, spoken)) < 0.3) > 0.9


def test_recordings_side_by_side_have_the_text_of_each_alone(model):
    samples = load_audio(DEMO_AUDIO)
    recordings = [
        samples[: 65 * SAMPLE_RATE],
        samples[20 * SAMPLE_RATE : 58 * SAMPLE_RATE],
        samples[70 * SAMPLE_RATE :],
    ]
    each = [Transcription(model, its, TranscriptionOptions(language="en", temperature=0.0)) for its in recordings]
    segments = [[], [], []]
    for i, step in transcribe_side_by_side([transcription.reader() for transcription in each], batch_size=3):
        segments[i] += step.segments
    for transcription, its, found in zip(each, recordings, segments, strict=True):
        alone = transcribe(model, its, language="en", temperature=0.0)
        assert transcription.result(found)["text"] == alone["text"] != ""


def test_noise_is_detected_as_no_speech(model):
    hiss = 0.05 * np.random.default_rng(0).standard_normal(5 * SAMPLE_RATE).astype(np.float32)
    assert transcribe(model, hiss)["text"] == ""
    speech = load_audio(DEMO_AUDIO)[: 5 * SAMPLE_RATE]
    assert transcribe(model, speech)["text"] != ""
