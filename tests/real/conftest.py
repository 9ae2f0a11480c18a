"""Fixtures for tests with OpenAI's whisper-base, which the extra `base` brings."""

from pathlib import Path

import mlx.core as mx
import pytest

from mlx_whisper_lora.whisper.checkpoints.load import load_model
from mlx_whisper_lora.whisper.model.whisper import Whisper
from tools.real.recordings import RECORDINGS


@pytest.fixture(scope="session")
def base() -> Whisper:
    """Return whisper-base in float32."""
    return load_model("base", mx.float32)


@pytest.fixture(scope="session")
def recordings() -> Path:
    """Return the folder of recordings."""
    if not RECORDINGS.is_dir():
        pytest.skip("needs the recordings of ../shared/data")
    return RECORDINGS
