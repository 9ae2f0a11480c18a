"""Turn clips into examples: audio into log-mel frames, texts into tokens."""

import functools
import sys
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from mlx_whisper_lora.data.array_cache import ArrayCache
from mlx_whisper_lora.data.clip import Clip, DataError, check_none_bad
from mlx_whisper_lora.data.content import audio_hash
from mlx_whisper_lora.data.features import AudioFeatures, ClipFeatures, FeatureReader, header_length, read_samples
from mlx_whisper_lora.data.labels import Label, learn_language, move_end, timed_tokens, transcript_tokens
from mlx_whisper_lora.data.memory import collections_paused
from mlx_whisper_lora.whisper.audio.constants import CHUNK_LENGTH, FRAMES_PER_SECOND, HOP_LENGTH, SAMPLE_RATE
from mlx_whisper_lora.whisper.audio.log_mel import clip_frames
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.terminal import progress_bar
from mlx_whisper_lora.whisper.text.tokenizer import Tokenizer

_FEW = 200  # clips that are decoded in seconds


@dataclass(frozen=True, slots=True)
class Example:
    """A clip as the model is trained on it."""

    features: np.ndarray | AudioFeatures  # log-mels, shape (F, n_mels), F at most 3000; or how they are computed
    tokens: tuple[int, ...]  # from start to end of transcript, or the number of a class alone
    prompt_length: int  # the decoder is given these first tokens, and learns the others
    text: str = field(default="", kw_only=True)  # the reference that a transcript is scored against
    language: str | None = field(default=None, kw_only=True)  # a code; None for an English-only model
    task: str | None = field(default=None, kw_only=True)  # "transcribe" or "translate"; None as for the language
    audio: int | None = field(default=None, kw_only=True)  # the hash of its audio, if that is known
    timed: Label | None = field(default=None, kw_only=True)  # another label of it, with timestamps
    timestamp_begin: int = field(default=sys.maxsize, kw_only=True)  # the timestamps of labels are tokens from it on
    clip: Clip | None = field(default=None, kw_only=True)  # None if it was made of several
    once: bool = field(default=False, kw_only=True)  # it is drawn for one step, so nothing of it is worth keeping

    @property
    def seconds(self) -> float:
        """The length of its audio. Before it is decoded, that of the header, which may be wrong."""
        return self.n_frames / FRAMES_PER_SECOND

    @property
    def mel(self) -> np.ndarray:
        """The log-mel frames, shape (F, n_mels), as transcription computes them. They are read at each call.

        Raises:
            DataError: The audio cannot be decoded, or is too long.
        """
        return self.features if isinstance(self.features, np.ndarray) else self.features.read()

    @property
    def n_frames(self) -> int:
        """The number of frames. Before they are computed, that of the header, which may be wrong."""
        return len(self.features)

    @property
    def key(self) -> Hashable:
        """What distinguishes the log-mel from that of other examples."""
        return id(self.features) if self.audio is None else self.audio

    @property
    def n_targets(self) -> int:
        """The number of tokens that are learned."""
        return len(self.tokens) - self.prompt_length

    @property
    def label(self) -> Label:
        """What the decoder learns."""
        return Label(self.tokens, self.prompt_length)

    def with_label(self, label: Label) -> "Example":
        """Return the example with another label, as its only one."""
        return replace(self, tokens=label.tokens, prompt_length=label.prompt_length, timed=None)

    def with_timestamps(self) -> "Example":
        """Return the example with the label that has timestamps, if there is one."""
        return self.with_label(self.timed) if self.timed else self

    def loaded(self) -> "Example":
        """Return the example with its log-mel in memory, and with the end of its last segment there. Raise as `mel`."""
        if isinstance(self.features, np.ndarray):
            return self
        mel = self.features.read()
        if self.timestamp_begin == sys.maxsize:  # its label has no timestamps
            return replace(self, features=mel)
        seconds = (len(mel) - self.n_frames) / FRAMES_PER_SECOND
        label = move_end(self.label, self.timestamp_begin, seconds)
        return replace(self.with_label(label), features=mel)


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


@collections_paused()
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
    cache: ArrayCache | None = None,
) -> BuiltExamples:
    """Turn clips into examples for a model. Only the headers of recordings are read, and the audio when it is needed.

    A clip is decoded at once if its header does not show that it can be used, if its audio is a stream, or if there are
    up to 200 clips: then all that cannot be used are found together.

    Args:
        clips: The clips of one split.
        model: The model whose mel bands, tokenizer and length of text the examples fit.
        language: The code of the language of all clips; None takes each clip's own.
        task: "transcribe" or "translate", for clips without a task of their own.
        default_language: The language of clips without one of their own.
        max_seconds: Longer clips are dropped.
        max_tokens: Clips whose texts take more tokens are dropped, because transcription does not write longer ones.
            None stands for half of the model's text context, the default of decoding.
        bad: Gets an error for each clip that cannot be used, which is skipped. By default, such clips are an error.
        cache: Keeps the log-mels that were computed. By default, they are computed whenever they are needed.

    Raises:
        DataError: No clip has a language; or clips have none, have one that the model does not know, or their headers
            show that they cannot be read, and `bad` was not given. The message names each clip, and the table and line
            that it comes from.
    """
    max_tokens = max_tokens or model.dims.n_text_ctx // 2
    reader = FeatureReader(model.dims.n_mels, max_seconds, cache or ArrayCache(0, "features-"))
    tokenizer_of = functools.cache(model.tokenizer)
    built = BuiltExamples([], [])
    found: list[DataError] = []
    if clips and not any(clip.language or language or default_language for clip in clips):
        _make_tokenizer(clips[0], model, None, task, tokenizer_of)  # if this fails, all clips would fail in one way
    for clip in progress_bar(clips, desc="Reading clips", unit="clip"):
        try:
            spoken = language or clip.language or default_language
            tokenizer = _make_tokenizer(clip, model, spoken, clip.task or task, tokenizer_of)
            features = make_features(clip, reader, None if len(clips) <= _FEW else header_length(clip))
        except DataError as error:
            found.append(error)
            continue
        if features is None:
            built.dropped.append(DroppedClip(clip, f"longer than {max_seconds:g} s"))
            continue
        example = _make_example(clip, features, tokenizer, model, max_tokens)
        if example is None:
            built.dropped.append(DroppedClip(clip, f"texts of over {max_tokens} tokens"))
        else:
            built.examples.extend([example] * clip.weight)
    if bad is None:
        check_none_bad(found)
    else:
        bad += found
    return built


def make_features(clip: Clip, reader: FeatureReader, seconds: float | None) -> np.ndarray | ClipFeatures | None:
    """Return the features of a clip, or None if it is too long. Decode it if its length is not given."""
    if seconds is not None and seconds > reader.max_seconds:
        return None
    audio = audio_hash(clip)
    if seconds is not None and audio is not None:
        return ClipFeatures(clip, audio, round(seconds * SAMPLE_RATE) // HOP_LENGTH, reader)
    samples = read_samples(clip, reader.max_seconds)
    if samples is None:
        return None
    frames = clip_frames(samples, reader.n_mels)
    if audio is None:
        return frames
    reader.keep(audio, frames)
    return ClipFeatures(clip, audio, len(frames), reader)


def _make_example(
    clip: Clip, features: np.ndarray | ClipFeatures, tokenizer: Tokenizer, model: Whisper, max_tokens: int
) -> Example | None:
    """Return a clip with its features as an example, or None if its text takes too many tokens."""
    label = transcript_tokens(tokenizer, clip.text)
    if len(label.tokens) - label.prompt_length - 1 > max_tokens or len(label.tokens) > model.dims.n_text_ctx:
        return None
    seconds = len(features) / FRAMES_PER_SECOND
    return Example(
        features,
        *learn_language(label, tokenizer),
        text=clip.text,
        language=tokenizer.language,
        task=tokenizer.task,
        audio=features.audio if isinstance(features, ClipFeatures) else None,
        timed=learn_language(timed_tokens(tokenizer, label, seconds), tokenizer) if clip.text else None,
        timestamp_begin=tokenizer.timestamp_begin,
        clip=clip,
    )


def _make_tokenizer(
    clip: Clip, model: Whisper, language: str | None, task: str, tokenizer_of: Callable[[str | None, str], Tokenizer]
) -> Tokenizer:
    if language is None and model.is_multilingual:
        raise clip.error(f"{clip.name}: its language is not known; give --language or a 'language' column")
    try:
        return tokenizer_of(language, task)
    except ValueError as error:
        raise clip.error(f"{clip.name}: {error}") from None
