"""`whisper.timing` and `mlx_whisper.timing`, with spectrograms of shape (n_frames, n_mels) as mlx-whisper has them."""

from dataclasses import asdict
from math import nan

import mlx.core as mx

from mlx_whisper_lora.whisper.decoding.language import as_features
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.text.tokenizer import Tokenizer
from mlx_whisper_lora.whisper.transcription import word_timing
from mlx_whisper_lora.whisper.transcription.options import APPEND_PUNCTUATIONS, PREPEND_PUNCTUATIONS
from mlx_whisper_lora.whisper.transcription.segments import Segment
from mlx_whisper_lora.whisper.transcription.word_timing import (
    Punctuation,
    WordTiming,
    dynamic_time_warping,
    median_filter,
)

dtw = dtw_cpu = dynamic_time_warping

__all__ = ["WordTiming", "add_word_timestamps", "dtw", "dtw_cpu", "find_alignment", "median_filter"]


def find_alignment(
    model: Whisper, tokenizer: Tokenizer, text_tokens: list[int], mel: mx.array, num_frames: int
) -> list[WordTiming]:
    """Find when each word of a text is spoken in a window.

    Args:
        model: the model.
        tokenizer: the tokenizer of the text.
        text_tokens: the text, without timestamps.
        mel: the spectrogram of the window, shape (n_frames, n_mels).
        num_frames: the number of its frames that contain audio.
    """
    return word_timing.find_alignment(model, tokenizer, list(text_tokens), as_features(model, mel)[0], num_frames)


def add_word_timestamps(
    *,
    segments: list[dict],
    model: Whisper,
    tokenizer: Tokenizer,
    mel: mx.array,
    num_frames: int,
    prepend_punctuations: str = PREPEND_PUNCTUATIONS,
    append_punctuations: str = APPEND_PUNCTUATIONS,
    last_speech_timestamp: float,
) -> None:
    """Add "words" to the segments of a window, and align "start" and "end" with them, in place.

    Args:
        segments: dicts with "seek", "start", "end" and "tokens".
        model: the model.
        tokenizer: the tokenizer of the segments.
        mel: the spectrogram of the window, shape (n_frames, n_mels).
        num_frames: the number of its frames that contain audio.
        prepend_punctuations: punctuation that belongs to the word after it.
        append_punctuations: punctuation that belongs to the word before it.
        last_speech_timestamp: when the speech before the window ended, in seconds.
    """
    if not segments:
        return
    timed = word_timing.add_word_timestamps(
        [_segment(each) for each in segments],
        model=model,
        tokenizer=tokenizer,
        features=as_features(model, mel)[0],
        n_frames=num_frames,
        last_speech=last_speech_timestamp,
        punctuation=Punctuation(prepend_punctuations, append_punctuations),
    )
    for segment, found in zip(segments, timed, strict=True):
        segment.update(start=found.start, end=found.end, words=[asdict(word) for word in found.words or []])


def _segment(given: dict) -> Segment:
    """Return a segment for what timing its words needs."""
    return Segment(
        **{name: given[name] for name in ("seek", "start", "end", "tokens")},
        text=given.get("text", ""),
        temperature=nan,
        avg_logprob=nan,
        compression_ratio=nan,
        no_speech_prob=nan,
    )
