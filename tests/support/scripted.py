"""The loop over a long recording with scripted windows in place of a model, as in the reference numbers."""

import json
import zlib
from unittest.mock import patch

import numpy as np

from mlx_whisper_lora.whisper.decoding.decode import DecodingResult
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.text.tokenizer import get_tokenizer
from mlx_whisper_lora.whisper.transcription import windows
from mlx_whisper_lora.whisper.transcription import word_timing as timing
from mlx_whisper_lora.whisper.transcription.long_form import transcribe
from mlx_whisper_lora.whisper.transcription.word_timing import WordTiming
from tests.support.models import seeded_model
from tools.references.seeded import scripted_times, scripted_window


class ScriptedModel:
    """A script in place of decoding and of aligning words: the one that openai-whisper's loop was given."""

    def __init__(self, seed: int):
        self.seed, self.prompts, self.alignments = seed, [], 0
        self.tokenizer = get_tokenizer(True)

    def decode(self, model, features, options, keys, prompts):
        window = scripted_window(self.seed, len(self.prompts))
        self.prompts.append(zlib.crc32(json.dumps(prompts[0]).encode()))
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
    """Transcribe scripted windows; return the transcript, and the checksums of the prompts of its windows."""
    script = ScriptedModel(seed)
    with (
        patch.object(Whisper, "encode", lambda model, mel: mel),
        patch.object(windows, "decode_features", script.decode),
        patch.object(timing, "find_alignment", script.align),
    ):
        result = transcribe(seeded_model("multilingual"), np.zeros(16000 * seconds, np.float32), **options)
    return result, script.prompts
