"""The port with the seeded weights and the scripted windows of the reference numbers, and those numbers."""

import functools
import json
import zlib
from pathlib import Path
from unittest.mock import patch

import mlx.core as mx
import numpy as np
import pytest

from mlx_whisper_lora.whisper.audio.log_mel import log_mel_spectrogram
from mlx_whisper_lora.whisper.decoding.decode import DecodingResult
from mlx_whisper_lora.whisper.model.whisper import ModelDimensions, Whisper
from mlx_whisper_lora.whisper.text.tokenizer import get_tokenizer
from mlx_whisper_lora.whisper.transcription import windows
from mlx_whisper_lora.whisper.transcription import word_timing as timing
from mlx_whisper_lora.whisper.transcription.long_form import transcribe
from mlx_whisper_lora.whisper.transcription.word_timing import WordTiming
from tests.support.helpers import seeded_weights
from tools.references.seeded import (
    VARIANTS,
    scripted_times,
    scripted_window,
    small_dims,
    three_windows,
)

REFERENCE = Path(__file__).parents[1] / "whisper" / "reference"  # made by tools/references/make_whisper.py


def reference(name: str):
    return json.loads((REFERENCE / f"{name}.json").read_text(encoding="utf-8"))


@functools.cache
def reference_arrays() -> dict[str, np.ndarray]:
    return dict(np.load(REFERENCE / "arrays.npz"))


@functools.cache
def seeded_model(variant: str) -> Whisper:
    settings = VARIANTS[variant]
    model = Whisper(ModelDimensions(**small_dims(settings["n_vocab"], settings["n_mels"])))
    weights = seeded_weights(model.dims, settings["seed"])
    model.load_weights([(name, mx.array(array)) for name, array in weights.items()])
    return model


@functools.cache
def window_mels(n_mels: int) -> mx.array:
    """Log-mels (3, 3000, n_mels)."""
    return mx.stack([log_mel_spectrogram(sound, n_mels) for sound in three_windows()])


@functools.cache
def window_features(variant: str) -> mx.array:
    """The same three windows encoded: (3, 1500, 64)."""
    model = seeded_model(variant)
    features = model.encoder(window_mels(model.dims.n_mels))
    mx.eval(features)
    return features


class ScriptedModel:
    """Stands in for decoding and for aligning words, with the scripts that openai-whisper's loop was given."""

    def __init__(self, seed: int):
        self.seed, self.prompts, self.alignments = seed, [], 0
        self.tokenizer = get_tokenizer(True)

    def decode(self, model, features, options):
        window = scripted_window(self.seed, len(self.prompts))
        self.prompts.append(zlib.crc32(json.dumps(options.prompt).encode()))
        tokens = []
        for piece in window.pop("pieces"):
            tokens += self.tokenizer.encode(piece) if isinstance(piece, str) else [self.tokenizer.timestamp(piece)]
        return [DecodingResult(features, "en", tokens=tokens, temperature=options.temperature, **window)]

    def align(self, model, tokenizer, text_tokens, features, n_frames):
        words, tokens = tokenizer.split_to_word_tokens([*text_tokens, tokenizer.eot])
        times = scripted_times(self.seed, self.alignments, len(words) - 1, n_frames)
        self.alignments += 1
        return [WordTiming(*word, *time) for *word, time in zip(words, tokens, times, strict=False)]


def scripted_transcription(seed: int, seconds: int, **options) -> tuple[dict, list[int]]:
    """What the loop over a long recording makes of scripted windows, and the checksums of its prompts."""
    script = ScriptedModel(seed)
    with (
        patch.object(Whisper, "encode", lambda model, mel: mel),
        patch.object(windows, "decode_features", script.decode),
        patch.object(timing, "find_alignment", script.align),
    ):
        result = transcribe(seeded_model("multilingual"), np.zeros(16000 * seconds, np.float32), **options)
    return result, script.prompts


def assert_same_transcript(result: dict, expected: dict) -> None:
    """The same text and segments; probabilities within 0.1 %, and times that come from words within 0.02 s."""
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
