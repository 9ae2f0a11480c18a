"""Turn clips into examples: audio into log-mel frames, texts into tokens."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from mlx_whisper_lora.data.clip import Clip, DataError, check_none_bad
from mlx_whisper_lora.data.content import audio_hash
from mlx_whisper_lora.data.features import clip_frames
from mlx_whisper_lora.data.labels import Label, transcript_tokens, window_tokens
from mlx_whisper_lora.whisper.audio.constants import CHUNK_LENGTH, FRAMES_PER_SECOND, SAMPLE_RATE
from mlx_whisper_lora.whisper.audio.errors import AudioError
from mlx_whisper_lora.whisper.audio.load import audio_blocks
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class Example:
    """A clip as the model is trained on it."""

    mel: np.ndarray  # shape (F, n_mels), as transcription computes it; F is at most 3000
    tokens: tuple[int, ...]  # from start to end of transcript
    prompt_length: int  # the decoder is given these first tokens, and learns the others
    text: str = field(default="", kw_only=True)  # the reference that a transcript is scored against
    language: str | None = field(default=None, kw_only=True)  # a code; None for an English-only model
    audio: int | None = field(default=None, kw_only=True)  # the hash of its audio, if that is known
    timed: Label | None = field(default=None, kw_only=True)  # another label of it, with timestamps
    clip: Clip | None = field(default=None, kw_only=True)  # None if it was made of several
    once: bool = field(default=False, kw_only=True)  # it is drawn for one step, so nothing of it is worth keeping

    @property
    def seconds(self) -> float:
        """The length of its audio."""
        return len(self.mel) / FRAMES_PER_SECOND

    @property
    def n_targets(self) -> int:
        """The number of tokens that are learned."""
        return len(self.tokens) - self.prompt_length

    def with_timestamps(self) -> "Example":
        """Return the example with the label that has timestamps, if there is one."""
        return replace(self, tokens=self.timed.tokens, prompt_length=self.timed.prompt_length) if self.timed else self


class DroppedClip(NamedTuple):
    """A clip that no example was made of."""

    clip: Clip
    reason: str  # "longer than 30 s", or "texts of over 224 tokens"


class BuiltExamples(NamedTuple):
    """The examples of clips, each as often as its weight says, and the clips that were dropped.

    Both are in the order of the clips.
    """

    examples: list[Example]
    dropped: list[DroppedClip]


def build_examples(
    clips: Sequence[Clip],
    model: Whisper,
    language: str | None = None,
    task: str = "transcribe",
    *,
    default_language: str | None = None,
    max_seconds: float = CHUNK_LENGTH,
    max_tokens: int | None = None,
    bad: list[DataError] | None = None,
) -> BuiltExamples:
    """Read clips as examples for a model, all in memory: 115 MB an hour of speech.

    Args:
        clips: The clips of one split.
        model: The model whose mel bands, tokenizer and length of text the examples fit.
        language: The code of the language of all clips; None takes each clip's own.
        task: "transcribe" or "translate".
        default_language: The language of clips without one of their own.
        max_seconds: Longer clips are dropped.
        max_tokens: Clips whose texts take more tokens are dropped, because transcription does not write longer ones.
            None stands for half of the model's text context, the default of decoding.
        bad: Gets an error for each clip that cannot be used, which is skipped. By default, such clips are an error.

    Raises:
        DataError: No clip has a language; or clips have none, have one that the model does not know, or their audio
            cannot be read, and `bad` was not given. The message names each clip, and the table and line that it comes
            from.
    """
    max_tokens = max_tokens or model.dims.n_text_ctx // 2
    built = BuiltExamples([], [])
    found: list[DataError] = []
    if clips and not any(clip.language or language or default_language for clip in clips):
        _make_tokenizer(clips[0], model, None, task)  # if this fails, all clips would fail in the same way
    for clip in tqdm(clips, desc="Reading clips", unit="clip", disable=None, leave=False):
        try:
            tokenizer = _make_tokenizer(clip, model, language or clip.language or default_language, task)
            samples = _read_samples(clip, max_seconds)
        except DataError as error:
            found.append(error)
            continue
        if samples is None:
            built.dropped.append(DroppedClip(clip, f"longer than {max_seconds:g} s"))
            continue
        example = _make_example(clip, samples, tokenizer, model, max_tokens)
        if example is None:
            built.dropped.append(DroppedClip(clip, f"texts of over {max_tokens} tokens"))
        else:
            built.examples.extend([example] * clip.weight)
    if bad is None:
        check_none_bad(found)
    else:
        bad += found
    return built


def _make_example(
    clip: Clip, samples: np.ndarray, tokenizer: Tokenizer, model: Whisper, max_tokens: int
) -> Example | None:
    """Return a clip with its 16 kHz samples as an example, or None if its text takes too many tokens."""
    label = transcript_tokens(tokenizer, clip.text)
    if len(label.tokens) - label.prompt_length - 1 > max_tokens or len(label.tokens) > model.dims.n_text_ctx:
        return None
    return Example(
        clip_frames(samples, model.dims.n_mels),
        *label,
        text=clip.text,
        language=tokenizer.language,
        audio=audio_hash(clip),
        timed=window_tokens(tokenizer, [(0.0, len(samples) / SAMPLE_RATE, clip.text)]) if clip.text else None,
        clip=clip,
    )


def _read_samples(clip: Clip, max_seconds: float) -> np.ndarray | None:
    """Return a clip's 16 kHz samples, shape (n_samples,). Stop reading and return None if it is too long."""
    blocks: list[np.ndarray] = []
    try:
        for block in audio_blocks(clip.audio, start=clip.start, end=clip.end):
            blocks.append(block)
            if sum(map(len, blocks)) > max_seconds * SAMPLE_RATE:
                return None
    except (AudioError, OSError) as error:
        raise _data_error(clip, str(error)) from None
    return np.concatenate(blocks)


def _make_tokenizer(clip: Clip, model: Whisper, language: str | None, task: str) -> Tokenizer:
    if language is None and model.is_multilingual:
        raise _data_error(clip, f"{clip.name}: its language is not known; give --language or a 'language' column")
    try:
        return model.tokenizer(language, task)
    except ValueError as error:
        raise _data_error(clip, f"{clip.name}: {error}") from None


def _data_error(clip: Clip, problem: str) -> DataError:
    return DataError(f"{clip.origin}: {problem}" if clip.origin else problem)
