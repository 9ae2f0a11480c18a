"""The bundled model: openai-whisper makes the same of it, and it understands its own world."""

import json

import numpy as np
import pytest
from port import reference

from mlx_whisper_lora.training.metrics import word_error_rate
from mlx_whisper_lora.whisper.assets import DEMO_MODEL, DEMO_RECORDING
from mlx_whisper_lora.whisper.audio import SAMPLE_RATE, load_audio
from mlx_whisper_lora.whisper.checkpoints import load_model
from mlx_whisper_lora.whisper.model import Whisper
from mlx_whisper_lora.whisper.transcription import transcribe


@pytest.fixture(scope="module")
def model() -> Whisper:
    return load_model(DEMO_MODEL)


@pytest.fixture(scope="module")
def transcript(model) -> dict:
    """Of the two-minute recording, as a user would ask for it."""
    return transcribe(model, DEMO_RECORDING / "recording.opus")


@pytest.fixture(scope="module")
def spoken() -> dict:
    """What is said in the recording, and when."""
    return json.loads((DEMO_RECORDING / "reference.json").read_text(encoding="utf-8"))


def test_text_and_segments_are_openai_whispers(transcript):
    expected = reference("demo")
    assert (transcript["text"], transcript["language"]) == (expected["text"], expected["language"])
    for segment, other in zip(transcript["segments"], expected["segments"], strict=True):
        assert {name: segment[name] for name in other} == other


def test_it_understands_a_voice_that_it_never_heard(transcript, spoken):
    assert transcript["language"] == spoken["language"]
    assert word_error_rate([spoken["text"]], [transcript["text"]]) < 10


def test_it_says_when(transcript, spoken):
    starts = {segment["text"]: segment["start"] for segment in transcript["segments"]}
    errors = [
        abs(starts[" " + said["text"]] - said["start"]) for said in spoken["segments"] if " " + said["text"] in starts
    ]
    assert len(errors) > len(spoken["segments"]) / 2
    assert max(errors) < 0.3


def test_noise_is_no_speech(model):
    hiss = 0.05 * np.random.default_rng(0).standard_normal(5 * SAMPLE_RATE).astype(np.float32)
    assert transcribe(model, hiss)["text"] == ""
    speech = load_audio(DEMO_RECORDING / "recording.opus")[: 5 * SAMPLE_RATE]
    assert transcribe(model, speech)["text"] != ""
