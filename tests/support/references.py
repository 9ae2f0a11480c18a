"""The stored reference numbers, and the comparison of a transcript with one of them."""

import functools
import json
from pathlib import Path

import numpy as np
import pytest

REFERENCE = Path(__file__).parents[1] / "whisper" / "reference"  # made by tools/references/make_whisper.py
CHECKPOINTS = REFERENCE / "checkpoints"  # made by tools/references/make_checkpoints.py


def reference(name: str):
    """Read the reference numbers of one kind, such as "decoding"."""
    return json.loads((REFERENCE / f"{name}.json").read_text(encoding="utf-8"))


@functools.cache
def reference_arrays() -> dict[str, np.ndarray]:
    """Read the reference arrays; tools/references/make_whisper.py explains their names."""
    return dict(np.load(REFERENCE / "arrays.npz"))


def assert_same_transcript(result: dict, expected: dict) -> None:
    """Assert equal texts and segments, probabilities within 0.1 %, and times that come from words within 0.02 s."""
    assert (result["text"], result["language"]) == (expected["text"], expected["language"])
    assert len(result["segments"]) == len(expected["segments"])
    for segment, other in zip(result["segments"], expected["segments"], strict=True):
        assert list(segment) == list(other)
        words, other_words = segment.get("words", []), other.get("words", [])
        tolerance = 0.02 + 1e-9 if "words" in segment else 0  # seconds: one position
        assert len(words) == len(other_words)
        for part, other_part in zip([segment, *words], [other, *other_words], strict=True):
            approximate = {
                "avg_logprob": {"rel": 1e-3, "abs": 1e-4},
                "no_speech_prob": {"rel": 1e-3, "abs": 1e-4},
                "probability": {"rel": 1e-3},
                "start": {"rel": 0, "abs": tolerance},
                "end": {"rel": 0, "abs": tolerance},
            }
            for name in part.keys() - {"words"}:
                like = approximate.get(name)
                assert part[name] == (pytest.approx(other_part[name], **like) if like else other_part[name]), name
