"""Reading a recording window by window: one after another, or the pieces between its pauses side by side."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import mlx.core as mx

from mlx_whisper_lora.whisper.audio.constants import FRAMES_PER_SECOND
from mlx_whisper_lora.whisper.audio.load import pad_or_trim
from mlx_whisper_lora.whisper.audio.log_mel import SpooledLogMel
from mlx_whisper_lora.whisper.audio.pauses import Chunk
from mlx_whisper_lora.whisper.decoding.decode import DecodingResult, decode_features
from mlx_whisper_lora.whisper.decoding.options import DecodingOptions
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.text.tokenizer import Tokenizer
from mlx_whisper_lora.whisper.transcription.hallucination import first_hallucination, leading_silence
from mlx_whisper_lora.whisper.transcription.segments import (
    Window,
    clear_empty_segments,
    cut_at_timestamps,
    ends_in_silence,
    speech_end,
    window_segments,
)
from mlx_whisper_lora.whisper.transcription.word_timing import add_word_timestamps

CONTEXT_TEMPERATURE = 0.5  # text sampled at a higher one is too uncertain to be the next window's prompt


@dataclass(frozen=True)
class Thresholds:
    """What makes a window's transcript a failure or a silence; None switches a test off."""

    compression_ratio: float | None
    logprob: float | None
    no_speech: float | None

    def failed(self, result: DecodingResult) -> bool:
        """Whether to try again: the text repeats itself or is improbable, and not merely because nobody speaks."""
        improbable = self.logprob is not None and result.avg_logprob < self.logprob
        repetitive = self.compression_ratio is not None and result.compression_ratio > self.compression_ratio
        silent = self.no_speech is not None and result.no_speech_prob > self.no_speech
        return (improbable or repetitive) and not (silent and improbable)

    def silent(self, result: DecodingResult) -> bool:
        """Whether to skip the window: it sounds like silence, and the text is not probable enough to overrule that."""
        if self.no_speech is None or result.no_speech_prob <= self.no_speech:
            return False
        return self.logprob is None or result.avg_logprob <= self.logprob


@dataclass
class Context:
    """What the decoder is told before a window: the initial prompt, and what was said so far.

    `room` is how many tokens the decoder reads of a prompt, from its end. With `carry` every prompt starts with the
    initial one; with `remember` it goes on with what was said.
    """

    initial: list[int]
    room: int
    carry: bool
    remember: bool
    said: list[int] = field(default_factory=list)

    def __post_init__(self):
        if not self.carry:
            self.said = list(self.initial)

    def prompt(self) -> list[int]:
        if not self.carry:
            return self.said
        room = self.room - len(self.initial)
        return self.initial + (self.said[-room:] if room > 0 else [])

    def add(self, segments: list[dict], temperature: float) -> None:
        self.said = self.said + [token for segment in segments for token in segment["tokens"]]
        if not self.remember or temperature > CONTEXT_TEMPERATURE:
            self.said = []


@dataclass(frozen=True)
class WindowTranscriber:
    """Turns windows of a recording into segments.

    mel: its log-mels; marks: the punctuation marks that words take before and after them, None where words are not
    timed.
    """

    model: Whisper
    mel: SpooledLogMel
    window_frames: int
    tokenizer: Tokenizer
    attempts: list[DecodingOptions]
    thresholds: Thresholds
    marks: tuple[str, str] | None

    def window(self, seek: int, stop: int) -> Window:
        return Window(seek, min(self.window_frames, stop - seek))

    def decode(self, windows: list[Window], prompt: list[int]) -> list[DecodingResult]:
        """Decode windows together, each by one attempt after the other until it passes the thresholds."""
        mels = [self.mel.window(each.seek, each.n_frames) for each in windows]
        features = self.model.encode(mx.stack([pad_or_trim(mel, self.window_frames, axis=0) for mel in mels]))
        results: dict[int, DecodingResult] = {}
        waiting = list(range(len(windows)))
        for options in self.attempts:
            if len(waiting) < features.shape[0]:
                features = mx.stack([results[i].audio_features for i in waiting])
            decoded = decode_features(self.model, features, replace(options, prompt=prompt))
            results.update(zip(waiting, decoded, strict=True))
            waiting = [i for i in waiting if self.thresholds.failed(results[i])]
            if not waiting:
                break
        return [results[i] for i in range(len(windows))]

    def read(self, window: Window, result: DecodingResult, last_speech: float) -> tuple[list[dict] | None, int]:
        """The segments of a decoded window, None if it is silent, and the frame to read on from.

        last_speech: when speech ended before it, in seconds.
        """
        if self.thresholds.silent(result):
            return None, window.stop
        stretches, done = cut_at_timestamps(result.tokens, self.tokenizer, window.n_frames)
        segments = window_segments(stretches, result, window, self.tokenizer)
        seek = window.seek + done
        if self.marks is not None:
            add_word_timestamps(
                segments, model=self.model, tokenizer=self.tokenizer, features=result.audio_features,
                n_frames=window.n_frames, last_speech=last_speech,
                prepend_punctuations=self.marks[0], append_punctuations=self.marks[1],
            )  # fmt: skip
            if not ends_in_silence(result.tokens, self.tokenizer) and speech_end(segments) > window.start:
                seek = round(speech_end(segments) * FRAMES_PER_SECOND)
        return segments, max(seek, window.seek + 1)  # never stand still


def transcribe_sequential(
    reader: WindowTranscriber, clips: list[tuple[int, int]], context: Context, silence_threshold: float | None
) -> Iterator[tuple[list[dict], int]]:
    """The segments of one window after another, and how many frames it goes forward."""
    last_speech = 0.0
    for first, stop in clips:
        seek = first
        while seek < stop:
            window = reader.window(seek, stop)
            (result,) = reader.decode([window], context.prompt())
            segments, seek = reader.read(window, result, last_speech)
            if segments is not None and silence_threshold is not None:
                if not ends_in_silence(result.tokens, reader.tokenizer):
                    seek = skip_short_rest(reader, window, segments, seek, silence_threshold)
                segments, seek = skip_hallucinations(reader, window, segments, seek, last_speech, silence_threshold)
            if segments is not None:
                if segments and reader.marks is not None:
                    last_speech = speech_end(segments)
                clear_empty_segments(segments)
                context.add(segments, result.temperature)
            yield segments or [], min(seek, stop) - window.seek


def transcribe_batched(
    reader: WindowTranscriber, pieces: list[Chunk], prompt: list[int], batch_size: int
) -> Iterator[tuple[list[dict], int]]:
    """The segments of each window, read `batch_size` together, and how many frames each goes forward.

    A piece whose window is cut off in mid-speech is read on from there, with the next batch.
    """
    waiting = deque(pieces)
    while waiting:
        batch = [waiting.popleft() for _ in range(min(batch_size, len(waiting)))]
        windows = [reader.window(piece.first, piece.stop) for piece in batch]
        unread: list[Chunk] = []
        for piece, window, result in zip(batch, windows, reader.decode(windows, prompt), strict=True):
            segments, seek = reader.read(window, result, window.start)
            if seek < piece.silence_start:
                unread.append(replace(piece, first=seek))
            else:
                seek = piece.stop
            clear_empty_segments(segments or [])
            yield segments or [], seek - window.seek
        waiting.extendleft(reversed(unread))


def skip_short_rest(
    reader: WindowTranscriber, window: Window, segments: list[dict], seek: int, silence_threshold: float
) -> int:
    """The frame to read on from: where the window's words end, or its end if there is no pause between the two."""
    end = speech_end(segments)
    rest = (window.seek + reader.window_frames) / FRAMES_PER_SECOND - end
    return window.stop if end > window.start and rest <= silence_threshold else seek


def skip_hallucinations(
    reader: WindowTranscriber,
    window: Window,
    segments: list[dict],
    seek: int,
    last_speech: float,
    silence_threshold: float,
) -> tuple[list[dict] | None, int]:
    """Leave out what looks made up amid silence.

    segments, seek: what was read of the window, and the frame to read on from. Returns the same with what is left out
    changed: None for segments where the window is to be read again from its first words.
    """
    silence = leading_silence(segments, window.start)
    if silence > silence_threshold:
        return None, window.seek + max(round(silence * FRAMES_PER_SECOND), 1)
    text_end = window.start + window.n_frames / FRAMES_PER_SECOND
    end = (window.seek + reader.window_frames) / FRAMES_PER_SECOND
    found = first_hallucination(segments, window.start, text_end, end, last_speech, silence_threshold)
    if found is None:
        return segments, seek
    seek = round(max(window.start + 1, segments[found]["start"]) * FRAMES_PER_SECOND)
    if reader.mel.n_frames / FRAMES_PER_SECOND - segments[found]["end"] < silence_threshold:
        seek = reader.mel.n_frames
    return segments[:found], seek
