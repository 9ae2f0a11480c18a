"""Clips as examples: recordings read, resampled and turned into log-mel frames, texts into tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from mlx_whisper_lora.data.clip import Clip, DataError
from mlx_whisper_lora.data.example import Example
from mlx_whisper_lora.data.features import clip_frames
from mlx_whisper_lora.data.labels import transcript_tokens
from mlx_whisper_lora.whisper.audio.constants import CHUNK_LENGTH, SAMPLE_RATE
from mlx_whisper_lora.whisper.audio.load import audio_blocks
from mlx_whisper_lora.whisper.model.whisper import Whisper


@dataclass(frozen=True)
class LabelledExample(Example):
    """An example with the reference text and language that its score needs."""

    text: str
    language: str | None


def build_examples(
    clips: Sequence[Clip], model: Whisper, language: str | None, task: str, longest: float = CHUNK_LENGTH
) -> tuple[list[LabelledExample], list[Clip]]:
    """Examples of `clips` for `model`, all in memory (60 MB an hour of speech), and the clips that are left out: those
    of over `longest` seconds.

    `language` is for all clips; None takes each clip's own. Raises DataError for a clip without a language, in one that
    the model lacks, or with more text than the decoder takes, and AudioError for an unreadable recording.
    """
    examples: list[LabelledExample] = []
    long: list[Clip] = []
    for clip in tqdm(clips, desc="Reading clips", unit="clip", disable=None, leave=False):
        samples = load_audio_up_to(clip.audio, longest)
        if samples is None:
            long.append(clip)
            continue
        code = language or clip.language
        if code is None and model.is_multilingual:
            raise DataError(f"{clip.audio}: its language is not known; give --language or a 'language' column")
        try:
            tokenizer = model.tokenizer(code, task)
        except ValueError as error:
            raise DataError(f"{clip.audio}: {error}") from None
        tokens, prompt_length = transcript_tokens(tokenizer, clip.text)
        if len(tokens) > model.dims.n_text_ctx:
            raise DataError(
                f"{clip.audio}: its text takes {len(tokens)} tokens, and the decoder has room for "
                f"{model.dims.n_text_ctx}; cut the clip"
            )
        mel = clip_frames(samples, model.dims.n_mels)
        examples.append(LabelledExample(mel, tokens, prompt_length, clip.text, tokenizer.language))
    return examples, long


def load_audio_up_to(path: Path, longest: float) -> np.ndarray | None:
    """A recording's 16 kHz samples, shape (n_samples,); None, and no more of it is read, once they are over `longest`
    seconds."""
    blocks: list[np.ndarray] = []
    for block in audio_blocks(path):
        blocks.append(block)
        if sum(map(len, blocks)) > longest * SAMPLE_RATE:
            return None
    return np.concatenate(blocks)
