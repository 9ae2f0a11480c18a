"""Transcribing windows: one after another, chunks between pauses side by side, or several recordings side by side."""

import itertools
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import mlx.core as mx

from mlx_whisper_lora.whisper.audio.constants import FRAMES_PER_SECOND
from mlx_whisper_lora.whisper.audio.context import context_frames
from mlx_whisper_lora.whisper.audio.load import pad_or_trim
from mlx_whisper_lora.whisper.audio.log_mel import LogMel
from mlx_whisper_lora.whisper.audio.pauses import Chunk
from mlx_whisper_lora.whisper.decoding.decode import DecodingResult, decode_features
from mlx_whisper_lora.whisper.decoding.options import DecodingOptions
from mlx_whisper_lora.whisper.decoding.search import sampling_key
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.text.tokenizer import Tokenizer
from mlx_whisper_lora.whisper.transcription.hallucination import first_hallucination, leading_silence
from mlx_whisper_lora.whisper.transcription.segments import (
    Segment,
    Window,
    clear_empty_segments,
    cut_at_timestamps,
    ends_in_silence,
    speech_end,
    window_segments,
)
from mlx_whisper_lora.whisper.transcription.word_timing import Punctuation, add_word_timestamps

_UNREAD_SPEECH = 2 * FRAMES_PER_SECOND  # frames of speech after the text of a chunk that are worth another window
_CONTEXT_TEMPERATURE = 0.5  # text sampled at a higher temperature is too uncertain to be the next prompt


@dataclass(frozen=True)
class Thresholds:
    """Tests for failed and silent windows. None switches a test off."""

    compression_ratio: float | None
    logprob: float | None
    no_speech: float | None

    def failed(self, result: DecodingResult) -> bool:
        """Return whether to try again: the text repeats itself or is improbable, and not just because of silence."""
        improbable = self.logprob is not None and result.avg_logprob < self.logprob
        repetitive = self.compression_ratio is not None and result.compression_ratio > self.compression_ratio
        silent = self.no_speech is not None and result.no_speech_prob > self.no_speech
        return (improbable or repetitive) and not (silent and improbable)

    def silent(self, result: DecodingResult) -> bool:
        """Return whether to skip the window: it is probably silent, and its text is not probable enough to count."""
        if self.no_speech is None or result.no_speech_prob <= self.no_speech:
            return False
        return self.logprob is None or result.avg_logprob <= self.logprob


@dataclass
class Context:
    """Builds the prompt of the next window from the initial prompt and the transcript so far."""

    initial_prompt: list[int]
    max_tokens: int  # the decoder reads only the last tokens of a longer prompt
    carry_initial_prompt: bool  # start every prompt with the initial one
    condition_on_previous: bool  # add the transcript so far
    text_tokens: list[int] = field(default_factory=list)  # the transcript so far

    def __post_init__(self):
        if not self.carry_initial_prompt:
            self.text_tokens = list(self.initial_prompt)

    def prompt(self) -> list[int]:
        """Return the prompt of the next window."""
        if not self.carry_initial_prompt:
            return self.text_tokens
        n_left = self.max_tokens - len(self.initial_prompt)
        return self.initial_prompt + (self.text_tokens[-n_left:] if n_left > 0 else [])

    def add(self, segments: list[Segment], temperature: float) -> None:
        """Add the segments of a window that was decoded at `temperature`."""
        self.text_tokens = self.text_tokens + [token for segment in segments for token in segment.tokens]
        if not self.condition_on_previous or temperature > _CONTEXT_TEMPERATURE:
            self.text_tokens = []


@dataclass(frozen=True)
class Reading:
    """The segments of a window, and where to continue."""

    segments: list[Segment]
    next_seek: int  # first frame of the next window
    skipped: bool = False  # the window is silent, or will be decoded again: its text does not become context


class Progress(NamedTuple):
    """One step of a transcription."""

    segments: list[Segment]  # new ones
    n_frames: int  # how many more frames of the recording are done


@dataclass(frozen=True)
class WindowTranscriber:
    """Turns windows of a recording into segments."""

    model: Whisper
    mel: LogMel
    window_frames: int  # maximum length of a window
    audio_context: float  # seconds that a window is padded to, or AUTO
    tokenizer: Tokenizer
    fallback_options: list[DecodingOptions]  # tried in turn until a transcript passes the thresholds
    thresholds: Thresholds
    punctuation: Punctuation | None  # None if words are not timed

    def window(self, seek: int, stop: int) -> Window:
        """Return the window from frame `seek` on that does not exceed frame `stop`."""
        return Window(seek, min(self.window_frames, stop - seek))

    def frames(self, window: Window) -> mx.array:
        """Return the frames of a window, padded with zeros to the audio context, as openai-whisper pads them."""
        n_frames = min(context_frames(window.n_frames, self.audio_context), self.window_frames)
        return pad_or_trim(self.mel.window(window.seek, window.n_frames), n_frames, axis=0)

    def decode(self, windows: list[Window], prompt: list[int]) -> list[DecodingResult]:
        """Decode windows together, as `decode_frames` does."""
        return self.decode_frames([self.frames(window) for window in windows], [prompt] * len(windows))

    def decode_frames(self, frames: list[mx.array], prompts: list[list[int]]) -> list[DecodingResult]:
        """Decode the frames of windows, those of one length together.

        Args:
            frames: of each window, shape (F, n_mels). They may be of several recordings in one language.
            prompts: the tokens before each window.
        """
        alike: defaultdict[int, list[int]] = defaultdict(list)
        for i, each in enumerate(frames):
            alike[len(each)].append(i)
        results: dict[int, DecodingResult] = {}
        for places in alike.values():
            decoded = self._decode_alike([frames[i] for i in places], [prompts[i] for i in places])
            results.update(zip(places, decoded, strict=True))
        return [results[i] for i in range(len(frames))]

    def _decode_alike(self, frames: list[mx.array], prompts: list[list[int]]) -> list[DecodingResult]:
        """Decode windows of one length together, and those that fail the thresholds again with the next options."""
        features = self.model.encode(mx.stack(frames))
        results: dict[int, DecodingResult] = {}
        waiting = list(range(len(frames)))
        for attempt, options in enumerate(self.fallback_options):
            if len(waiting) < features.shape[0]:
                features = mx.stack([results[i].audio_features for i in waiting])
            keys = [sampling_key(frames[i], attempt) for i in waiting]
            decoded = decode_features(self.model, features, options, keys, [prompts[i] for i in waiting])
            results.update(zip(waiting, decoded, strict=True))
            waiting = [i for i in waiting if self.thresholds.failed(results[i])]
            if not waiting:
                break
        return [results[i] for i in range(len(frames))]

    def to_segments(self, window: Window, result: DecodingResult, last_speech: float) -> Reading:
        """Return the segments of a decoded window.

        Args:
            window: the window.
            result: its transcript.
            last_speech: when the speech before it ended, in seconds.
        """
        if self.thresholds.silent(result):
            return Reading([], window.stop, skipped=True)
        spans, n_done = cut_at_timestamps(result.tokens, self.tokenizer, window.n_frames)
        segments = window_segments(spans, result, window, self.tokenizer)
        seek = window.seek + n_done
        if self.punctuation is not None:
            segments = add_word_timestamps(
                segments,
                model=self.model,
                tokenizer=self.tokenizer,
                features=result.audio_features,
                n_frames=window.n_frames,
                last_speech=last_speech,
                punctuation=self.punctuation,
            )
            if not ends_in_silence(result.tokens, self.tokenizer) and speech_end(segments) > window.start:
                seek = round(speech_end(segments) * FRAMES_PER_SECOND)
        return Reading(segments, max(seek, window.seek + 1))  # never stand still


class SequentialReader:
    """Reads a recording one window after another. Each starts where the text of the one before it ends.

    Decode `window` with `prompt`, and give the result to `read`, until `window` is None.

    Args:
        transcriber: the transcriber of the recording.
        clips: the first frame of each clip, and the frame after its last.
        context: makes the prompts.
        silence_threshold: skip silence of more seconds around hallucinations; requires words.
    """

    def __init__(
        self,
        transcriber: WindowTranscriber,
        clips: list[tuple[int, int]],
        context: Context,
        silence_threshold: float | None,
    ):
        self.transcriber, self.context, self.silence_threshold = transcriber, context, silence_threshold
        self._clips = deque(clips)
        self._seek = clips[0][0] if clips else 0
        self._last_speech = 0.0

    @property
    def window(self) -> Window | None:
        """Return the window to decode next, or None at the end of the recording."""
        return self.transcriber.window(self._seek, self._clips[0][1]) if self._clips else None

    @property
    def prompt(self) -> list[int]:
        """Return the tokens before that window."""
        return self.context.prompt()

    def read(self, window: Window, result: DecodingResult) -> Progress:
        """Take the transcript of `window`, and move on to the next one."""
        reading = self.transcriber.to_segments(window, result, self._last_speech)
        if self.silence_threshold is not None and not reading.skipped:
            if not ends_in_silence(result.tokens, self.transcriber.tokenizer):
                reading = _skip_short_rest(self.transcriber, window, reading, self.silence_threshold)
            reading = _skip_hallucinations(self.transcriber, window, reading, self._last_speech, self.silence_threshold)
        segments = clear_empty_segments(reading.segments)
        if not reading.skipped:
            if reading.segments and self.transcriber.punctuation is not None:
                self._last_speech = speech_end(reading.segments)
            self.context.add(segments, result.temperature)
        self._seek, stop = reading.next_seek, self._clips[0][1]
        if self._seek >= stop:
            self._clips.popleft()
            self._seek = self._clips[0][0] if self._clips else stop
        return Progress(segments, min(reading.next_seek, stop) - window.seek)


def transcribe_sequential(reader: SequentialReader) -> Iterator[Progress]:
    """Transcribe the windows of a recording one after another."""
    while window := reader.window:
        (result,) = reader.transcriber.decode([window], reader.prompt)
        yield reader.read(window, result)


def transcribe_side_by_side(readers: Iterable[SequentialReader], batch_size: int) -> Iterator[tuple[int, Progress]]:
    """Transcribe recordings as `transcribe_sequential` does, with the windows of up to `batch_size` decoded together.

    Windows share a batch if they have the same language. The text of a recording does not depend on the others.

    Yields:
        The place of a recording among `readers`, and a step of its transcription.
    """
    waiting = ((i, reader) for i, reader in enumerate(readers) if reader.window)
    active: dict[int, SequentialReader] = {}
    while active := active | dict(itertools.islice(waiting, batch_size - len(active))):
        decoder = next(iter(active.values())).transcriber
        group = {i: reader for i, reader in active.items() if reader.transcriber.tokenizer == decoder.tokenizer}
        windows = {i: window for i, reader in group.items() if (window := reader.window)}
        frames = [group[i].transcriber.frames(window) for i, window in windows.items()]
        results = decoder.decode_frames(frames, [group[i].prompt for i in windows])
        for i, result in zip(windows, results, strict=True):
            yield i, group[i].read(windows[i], result)
        active = {i: reader for i, reader in active.items() if reader.window}


def transcribe_batched(
    transcriber: WindowTranscriber, chunks: list[Chunk], prompt: list[int], batch_size: int
) -> Iterator[Progress]:
    """Transcribe chunks of a recording, `batch_size` of them together.

    If the window of a chunk is cut off in mid-speech, or its text ends long before the speech does, the rest of the
    chunk is transcribed with the next batch.
    """
    waiting = deque(chunks)
    while waiting:
        batch = [waiting.popleft() for _ in range(min(batch_size, len(waiting)))]
        windows = [transcriber.window(chunk.first, chunk.stop) for chunk in batch]
        rests: list[Chunk] = []
        for chunk, window, result in zip(batch, windows, transcriber.decode(windows, prompt), strict=True):
            reading = transcriber.to_segments(window, result, window.start)
            seek = _unread(chunk, window, reading)
            if seek < chunk.silence_start:
                rests.append(replace(chunk, first=seek))
            else:
                seek = chunk.stop
            yield Progress(clear_empty_segments(reading.segments), seek - window.seek)
        waiting.extendleft(reversed(rests))


def _unread(chunk: Chunk, window: Window, reading: Reading) -> int:
    """Return the frame from which on a chunk is not transcribed yet.

    A window that ends with a single timestamp counts as finished. But without the text before it, a window may end far
    too early, so it is finished only if little speech follows.
    """
    if reading.skipped or not reading.segments:
        return reading.next_seek
    heard = round(reading.segments[-1].end * FRAMES_PER_SECOND)
    is_early = heard - window.seek >= FRAMES_PER_SECOND and chunk.silence_start - heard > _UNREAD_SPEECH
    return min(reading.next_seek, heard) if is_early else reading.next_seek


def _skip_short_rest(
    transcriber: WindowTranscriber, window: Window, reading: Reading, silence_threshold: float
) -> Reading:
    """Continue after the window, not after its last word, if there is no pause between the two."""
    end = speech_end(reading.segments)
    rest = (window.seek + transcriber.window_frames) / FRAMES_PER_SECOND - end
    return replace(reading, next_seek=window.stop) if end > window.start and rest <= silence_threshold else reading


def _skip_hallucinations(
    transcriber: WindowTranscriber, window: Window, reading: Reading, last_speech: float, silence_threshold: float
) -> Reading:
    """Remove hallucinations in silence. If the window starts with one, decode it again from its first words."""
    segments = reading.segments
    silence = leading_silence(segments, window.start)
    if silence > silence_threshold:
        return Reading([], window.seek + max(round(silence * FRAMES_PER_SECOND), 1), skipped=True)
    audio_end = window.start + window.n_frames / FRAMES_PER_SECOND
    end = (window.seek + transcriber.window_frames) / FRAMES_PER_SECOND
    found = first_hallucination(segments, window.start, audio_end, end, last_speech, silence_threshold)
    if found is None:
        return reading
    seek = round(max(window.start + 1, segments[found].start) * FRAMES_PER_SECOND)
    if transcriber.mel.n_frames / FRAMES_PER_SECOND - segments[found].end < silence_threshold:
        seek = transcriber.mel.n_frames
    return Reading(segments[:found], seek)
