"""Recordings of real people, which are not part of the repository, and transcripts of them."""

import functools
from pathlib import Path

import numpy as np

from mlx_whisper_lora.whisper.audio.constants import SAMPLE_RATE
from mlx_whisper_lora.whisper.audio.load import load_audio

RECORDINGS = Path(__file__).parents[3] / "shared" / "data"


@functools.cache
def recording(file: str, seconds: float | None = None) -> np.ndarray:
    """Return the 16 kHz samples of a file of RECORDINGS, or of its first seconds."""
    samples = load_audio(RECORDINGS / file)
    return samples if seconds is None else samples[: round(seconds * SAMPLE_RATE)]


def timed_transcript(result: dict) -> dict:
    """Return the text, segments and word times of a result of openai-whisper's or our `transcribe`."""
    segments = [
        {
            **{name: segment[name] for name in ("start", "end", "text", "tokens")},
            "words": [[word["word"], word["start"], word["end"]] for word in segment["words"]],
        }
        for segment in result["segments"]
    ]
    return {"text": result["text"], "segments": segments}
