"""Targets that need no model, and a clip that the bundled model understands."""

import mlx.core as mx
import numpy as np
import pytest

from mlx_whisper_lora.explanation.targets import Targets
from mlx_whisper_lora.explanation.transcript import Transcript, find_transcript
from mlx_whisper_lora.whisper.assets import DEMO_AUDIO
from mlx_whisper_lora.whisper.audio.load import load_audio
from mlx_whisper_lora.whisper.audio.log_mel import clip_frames
from mlx_whisper_lora.whisper.checkpoints.load import load_model
from mlx_whisper_lora.whisper.model.whisper import Whisper

PLACES = (slice(16, 24), slice(16, 32)), (slice(48, 64), slice(0, 8))


@pytest.fixture
def mel() -> np.ndarray:
    """Return a log-mel (80, 32) of faint noise, with two loud PLACES."""
    mel = 0.1 * np.random.default_rng(0).random((80, 32), dtype=np.float32)
    for place in PLACES:
        mel[place] = 1
    return mel


@pytest.fixture
def targets() -> Targets:
    """Return two targets, whose scores are the log-probabilities that their PLACES are loud."""

    def scores(mels: mx.array) -> mx.array:
        levels = mx.stack([mels[:, frames, bands].mean(axis=(1, 2)) for frames, bands in PLACES], axis=1)
        return -mx.logaddexp(0, -20 * (levels - 0.5))

    return Targets(["early", "late"], scores)


@pytest.fixture(scope="session")
def demo(demo_model_folder) -> Whisper:
    """Return the bundled model."""
    return load_model(demo_model_folder, mx.float32)


@pytest.fixture(scope="session")
def sentence() -> np.ndarray:
    """Return the log-mel of "the yellow sister holds this yellow apple"."""
    return clip_frames(load_audio(DEMO_AUDIO, start=9.55, end=12.05), 80)


@pytest.fixture(scope="session")
def transcript(demo, sentence) -> Transcript:
    """Return what the bundled model hears in the sentence."""
    return find_transcript(demo, mx.array(sentence))
