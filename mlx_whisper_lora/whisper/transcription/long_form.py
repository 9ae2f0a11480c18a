"""Long-form transcription: a recording of any length, one window after another.

Radford et al. (2022), section 4.5, as in openai-whisper: the timestamps that the model generates decide where the next
window starts, the text so far is its prompt, and a window that fails is decoded again at higher temperatures. In
batches, the recording is split at its pauses first, and the chunks are decoded side by side.
"""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from functools import cached_property

import numpy as np
from tqdm import tqdm

from mlx_whisper_lora.whisper.audio.constants import FRAMES_PER_POSITION, FRAMES_PER_SECOND, N_FRAMES
from mlx_whisper_lora.whisper.audio.context import context_frames, to_context
from mlx_whisper_lora.whisper.audio.load import pad_or_trim
from mlx_whisper_lora.whisper.audio.log_mel import ArrayLogMel, Audio, LogMel, SpooledLogMel
from mlx_whisper_lora.whisper.audio.pauses import energy, split_at_pauses
from mlx_whisper_lora.whisper.audio.vad import SpeechDetector
from mlx_whisper_lora.whisper.decoding.decode import encode_prompt, note_type
from mlx_whisper_lora.whisper.decoding.language import resolve_languages
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.option import check_names
from mlx_whisper_lora.whisper.terminal import say
from mlx_whisper_lora.whisper.text.languages import language_name
from mlx_whisper_lora.whisper.text.tokenizer import Tokenizer
from mlx_whisper_lora.whisper.transcription.options import TranscriptionOptions, parse_clips, temperature_fallback
from mlx_whisper_lora.whisper.transcription.segments import Segment
from mlx_whisper_lora.whisper.transcription.windows import (
    Context,
    Progress,
    SequentialReader,
    Thresholds,
    WindowTranscriber,
    transcribe_batched,
    transcribe_sequential,
)
from mlx_whisper_lora.whisper.transcription.word_timing import Punctuation
from mlx_whisper_lora.whisper.transcription.writers import format_timestamp

OnSegment = Callable[[dict], object]
OnProgress = Callable[[float, float], object]
TRANSCRIBE_ARGUMENTS = ("verbose", "on_segment", "on_progress")  # those that are not options
_BAR_FORMAT = "{l_bar}{bar}| {n:.0f}/{total:.0f} s [{elapsed}<{remaining}]"


def transcribe(
    model: Whisper,
    audio: Audio,
    options: TranscriptionOptions | None = None,
    *,
    verbose: bool | None = None,
    on_segment: OnSegment | None = None,
    on_progress: OnProgress | None = None,
    **changes,
) -> dict:
    """Transcribe an entire recording.

    Args:
        model: the model.
        audio: an audio file (a path, bytes or a binary stream), or 16 kHz samples of shape (n_samples,):
            floats in [-1, 1], int16, int32, int8 or uint8.
        options: how to transcribe.
        verbose: print each segment as it is found if True, show a progress bar if False, print nothing if None.
        on_segment: called with each segment as it is found: a dict as in the result, without "id".
        on_progress: called after each window with the seconds of audio that are done, and those of the recording.
        changes: replace fields of `options`.

    Returns:
        A dict of "text", "language" (a code) and "segments": dicts of "id", "seek" (the first frame of the window),
        "start" and "end" in seconds, "text", "tokens", and the window's "temperature", "avg_logprob",
        "compression_ratio" and "no_speech_prob". With `word_timestamps` they have "words": dicts of "word", "start",
        "end" and "probability".

    Raises:
        AudioError: the recording cannot be read.
        ValueError: the model cannot follow the options.
    """
    check_names(changes, (*TRANSCRIBE_ARGUMENTS, *(each.name for each in fields(TranscriptionOptions))))
    transcription = Transcription(model, audio, replace(options or TranscriptionOptions(), **changes))
    segments: list[Segment] = []
    n_done, seconds = 0, transcription.n_frames / FRAMES_PER_SECOND
    for step in shown_steps(transcription, verbose):
        segments += step.segments
        n_done += step.n_frames
        if on_segment:
            for segment in step.segments:
                on_segment(segment.to_dict())
        if on_progress:
            on_progress(n_done / FRAMES_PER_SECOND, seconds)
    return transcription.result(segments)


def shown_steps(transcription: "Transcription", verbose: bool | None) -> Iterator[Progress]:
    """Yield the steps of a transcription, and print their segments or a progress bar, as `transcribe` does."""
    if transcription.detects_language and verbose:
        print("Detecting the language in the first 30 seconds; giving the language skips this.")
    if transcription.detects_language and verbose is not None:
        print(f"Detected language: {language_name(transcription.language)}")
    seconds = transcription.n_frames / FRAMES_PER_SECOND
    with tqdm(total=seconds, bar_format=_BAR_FORMAT, disable=verbose is not False) as bar:
        for step in transcription.steps():
            bar.update(step.n_frames / FRAMES_PER_SECOND)
            for segment in step.segments:
                if verbose and segment.text:
                    say(f"[{format_timestamp(segment.start)} --> {format_timestamp(segment.end)}] {segment.text}")
            yield step


class Transcription:
    """The transcription of one recording, step by step.

    The recording is read when this object is made. The language is detected when it is first asked for. Windows are
    decoded while the caller iterates over `steps()`.

    Args:
        model: the model.
        audio: as for `transcribe`, or a spectrogram that was computed already.
        options: how to transcribe.

    Raises:
        AudioError: the recording cannot be read.
        ValueError: the model cannot follow the options.
    """

    def __init__(self, model: Whisper, audio: Audio | LogMel, options: TranscriptionOptions):
        if options.word_timestamps and options.task == "translate":
            warnings.warn("the times of a translation's words are not reliable", stacklevel=2)
        note_type(model, options)
        if options.language is None and model.is_multilingual:
            options = replace(options, language=model.default_language)
        if options.language is not None:  # an unknown language is an error before the audio is read
            options = replace(options, language=model.language_code(options.language, options.task))
        model.tokenizer(options.language, options.task)
        self.model = model
        self.options = options
        self._speech: np.ndarray | None = None  # its probability in each frame, if the option `vad` asks for it
        if isinstance(audio, (ArrayLogMel, SpooledLogMel)):
            self.mel: LogMel = audio
        else:
            detector = SpeechDetector() if options.vad else None
            self.mel = SpooledLogMel(audio, model.dims.n_mels, detector.add if detector else None)
            self._speech = detector.finish() if detector else None
        given = options.audio_context
        self._audio_context = model.audio_context if given is None else to_context(given)
        longest = context_frames(N_FRAMES, self._audio_context)
        self._window_frames = min(longest, model.dims.n_audio_ctx * FRAMES_PER_POSITION)

    @property
    def detects_language(self) -> bool:
        """Return whether the language is not given, and has to be detected in the first 30 s."""
        return self.options.language is None and self.model.is_multilingual

    @cached_property
    def language(self) -> str:
        """Return the code of the language given, or else of the one detected."""
        if not self.detects_language:
            return self.options.language or "en"
        n_frames = min(context_frames(self.mel.n_frames, self._audio_context), self._window_frames)
        window = pad_or_trim(self.mel.window(0, n_frames), n_frames, axis=0)
        return resolve_languages(self.model, self.model.encode(window[None]), None).codes[0]

    @property
    def n_frames(self) -> int:
        """Return the number of frames to transcribe, in all clips together."""
        return sum(stop - first for first, stop in self._clips())

    def steps(self) -> Iterator[Progress]:
        """Transcribe window by window.

        Yields:
            The segments of each window, and how many more frames of the recording are done.
        """
        if self.options.batch_size is None:
            return transcribe_sequential(self.reader())
        transcriber, prompt = self._transcriber(), encode_prompt(self.options.initial_prompt, self._tokenizer())
        level = energy(self.mel) if self._speech is None else self._speech
        chunks = split_at_pauses(level, self._clips(), self._window_frames)
        return transcribe_batched(transcriber, chunks, prompt, self.options.batch_size)

    def reader(self) -> SequentialReader:
        """Return a reader of the windows, one after another, that the caller drives."""
        context = Context(
            initial_prompt=encode_prompt(self.options.initial_prompt, self._tokenizer()),
            max_tokens=self.model.dims.n_text_ctx // 2 - 1,
            carry_initial_prompt=self.options.carry_initial_prompt,
            condition_on_previous=self.options.condition_on_previous_text,
        )
        threshold = self.options.hallucination_silence_threshold
        return SequentialReader(self._transcriber(), self._clips(), context, threshold)

    def _transcriber(self) -> WindowTranscriber:
        options = self.options
        punctuation = Punctuation(options.prepend_punctuations, options.append_punctuations)
        return WindowTranscriber(
            model=self.model,
            mel=self.mel,
            window_frames=self._window_frames,
            audio_context=self._audio_context,
            tokenizer=self._tokenizer(),
            fallback_options=temperature_fallback(replace(options, language=self.language)),
            thresholds=Thresholds(
                options.compression_ratio_threshold, options.logprob_threshold, options.no_speech_threshold
            ),
            punctuation=punctuation if options.word_timestamps else None,
        )

    def result(self, segments: list[Segment]) -> dict:
        """Return the result of `transcribe` for the segments of all steps."""
        if self.options.batch_size is not None:
            segments = sorted(segments, key=lambda segment: segment.seek)  # the rest of a chunk comes a batch later
        tokens = [token for segment in segments for token in segment.tokens]
        return {
            "text": self._tokenizer().decode(tokens),
            "segments": [{"id": i, **segment.to_dict()} for i, segment in enumerate(segments)],
            "language": self.language,
        }

    def _tokenizer(self) -> Tokenizer:
        return self.model.tokenizer(self.language, self.options.task)

    def _clips(self) -> list[tuple[int, int]]:
        """Return the first frame of each clip and the frame after its last, as far as the recording goes."""
        clips = []
        for start, end in parse_clips(self.options.clip_timestamps):
            first, stop = (round(min(time * FRAMES_PER_SECOND, self.mel.n_frames)) for time in (start, end))
            if first < stop:
                clips.append((first, stop))
            elif start:
                seconds = self.mel.n_frames / FRAMES_PER_SECOND
                warnings.warn(
                    f"`clip_timestamps`: the recording ends at {seconds:.2f} s, before {start:g} s", stacklevel=2
                )
        return clips
