"""Long-form transcription: a recording of any length, one window after another.

Radford et al. (2022), section 4.5, as openai-whisper does it: the timestamps that the model writes say where the next
window starts; what was said so far is its prompt; a window decoded badly is tried again at higher temperatures.
In batches, the recording is cut at its pauses first, and the pieces are read side by side.
"""

import math
import sys
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import replace

import mlx.core as mx
from tqdm import tqdm

from mlx_whisper_lora.whisper.audio.constants import FRAMES_PER_POSITION, FRAMES_PER_SECOND, N_FRAMES
from mlx_whisper_lora.whisper.audio.log_mel import Audio, SpooledLogMel
from mlx_whisper_lora.whisper.audio.pauses import energy, split_at_pauses
from mlx_whisper_lora.whisper.audio.vad import check_detector, speech_probability
from mlx_whisper_lora.whisper.decoding.decode import encode_prompt
from mlx_whisper_lora.whisper.decoding.language import resolve_languages
from mlx_whisper_lora.whisper.decoding.options import DecodingOptions
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.text.languages import LANGUAGES
from mlx_whisper_lora.whisper.transcription.windows import (
    Context,
    Thresholds,
    WindowTranscriber,
    transcribe_batched,
    transcribe_sequential,
)
from mlx_whisper_lora.whisper.transcription.word_timing import APPEND_PUNCTUATIONS, PREPEND_PUNCTUATIONS
from mlx_whisper_lora.whisper.transcription.writers import format_timestamp

TEMPERATURES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
SAMPLING_OPTIONS = ("best_of",)  # without meaning at temperature 0
SEARCH_OPTIONS = ("beam_size", "patience")  # without meaning above it
BAR_FORMAT = "{l_bar}{bar}| {n:.0f}/{total:.0f} s [{elapsed}<{remaining}]"


def transcribe(
    model: Whisper,
    audio: Audio,
    *,
    verbose: bool | None = None,
    temperature: float | Sequence[float] = TEMPERATURES,
    compression_ratio_threshold: float | None = 2.4,
    logprob_threshold: float | None = -1.0,
    no_speech_threshold: float | None = 0.6,
    condition_on_previous_text: bool = True,
    initial_prompt: str | None = None,
    carry_initial_prompt: bool = False,
    word_timestamps: bool = False,
    prepend_punctuations: str = PREPEND_PUNCTUATIONS,
    append_punctuations: str = APPEND_PUNCTUATIONS,
    clip_timestamps: str | Sequence[float] = "0",
    hallucination_silence_threshold: float | None = None,
    batch_size: int | None = None,
    vad: bool = False,
    language: str | None = None,
    task: str = "transcribe",
    **decode_options,
) -> dict:
    """Transcribe a whole recording.

    audio: a sound file (a path, bytes or a binary stream), or 16 kHz samples of shape (n_samples,).
    verbose: True prints each segment as it is found, False shows a progress bar, None prints nothing.
    temperature: several to try in turn while a window's transcript fails a test below, or one number for one try,
        whose transcript stands whatever the tests say.
    compression_ratio_threshold: text that zlib shrinks more than this many times repeats itself: a failure.
    logprob_threshold: text with a lower mean log-probability is a failure.
    no_speech_threshold: a failed window whose probability of silence is higher is skipped.
    condition_on_previous_text: give each window what was said so far as its prompt, unless that was sampled at a
        temperature above 0.5.
    initial_prompt: text to give the first window as its prompt, such as names that will occur.
    carry_initial_prompt: start every window's prompt with it.
    word_timestamps: find when each word is said, and fit the segments to their words.
    prepend_punctuations, append_punctuations: marks that belong to the word after or before them.
    clip_timestamps: what to transcribe, as start, end, start, end, ... in seconds, in a list or with commas between
        them; the last end may be left out.
    hallucination_silence_threshold: with word_timestamps, skip silences of more seconds than this around text that
        looks made up.
    batch_size: cut the recording at its pauses and decode so many windows together. Windows then do not know what was
        said before them; each is given `initial_prompt`.
    vad: with batch_size, tell pauses by Silero's voice activity detector (the extra `vad`) rather than by energy.
    language: a code or an English name; None detects it in the first 30 s.
    task: "transcribe", or "translate" into English.
    decode_options: further fields of DecodingOptions; `prompt` is set by what was said. `best_of` holds above
        temperature 0, `beam_size` and `patience` at 0.

    Returns a dict of "text", "language" (a code) and "segments": dicts of "id", "seek" (the window's first frame),
    "start" and "end" in seconds, "text", "tokens", and the window's "temperature", "avg_logprob",
    "compression_ratio" and "no_speech_prob"; and "words" if asked for: dicts of "word", "start", "end", "probability".
    Raises AudioError for a recording that cannot be read and ValueError for options that the model cannot follow.
    """
    if vad and hasattr(audio, "read"):
        audio = audio.read()  # the detector needs it too, and a stream can be read once only
    attempts = temperature_fallback(temperature, {"task": task, **decode_options})
    thresholds = Thresholds(compression_ratio_threshold, logprob_threshold, no_speech_threshold)
    clip_times = parse_clips(clip_timestamps)
    validate_options(word_timestamps, hallucination_silence_threshold, batch_size, vad)
    if word_timestamps and task == "translate":
        warnings.warn("the times of a translation's words are not reliable", stacklevel=2)
    model.tokenizer(language, task)  # so that an unknown language is told before the recording is read

    mel = SpooledLogMel(audio, model.dims.n_mels)
    window_frames = min(N_FRAMES, model.dims.n_audio_ctx * FRAMES_PER_POSITION)
    language = spoken_language(model, mel.window(0, window_frames), language, verbose)
    attempts = [replace(options, language=language) for options in attempts]
    tokenizer = model.tokenizer(language, task)
    marks = (prepend_punctuations, append_punctuations) if word_timestamps else None
    reader = WindowTranscriber(model, mel, window_frames, tokenizer, attempts, thresholds, marks)

    clips = clips_in_frames(clip_times, mel.n_frames)
    prompt = encode_prompt(initial_prompt, tokenizer)
    if batch_size is None:
        room = model.dims.n_text_ctx // 2 - 1
        context = Context(prompt, room, carry_initial_prompt, condition_on_previous_text)
        windows = transcribe_sequential(reader, clips, context, hallucination_silence_threshold)
    else:
        level = speech_probability(audio) if vad else energy(mel)
        windows = transcribe_batched(reader, split_at_pauses(level, clips, window_frames), prompt, batch_size)

    segments = collect_segments(windows, sum(stop - first for first, stop in clips), verbose)
    if batch_size is not None:
        segments.sort(key=lambda segment: segment["seek"])  # a batch may come back to the rest of a piece
    segments = [{"id": i, **segment} for i, segment in enumerate(segments)]
    tokens = [token for segment in segments for token in segment["tokens"]]
    return {"text": tokenizer.decode(tokens), "segments": segments, "language": language}


def temperature_fallback(temperature: float | Sequence[float], options: dict) -> list[DecodingOptions]:
    """How to decode a window at each temperature; what has no meaning at one is left out there."""
    temperatures = [temperature] if isinstance(temperature, (int, float)) else list(temperature)
    if not temperatures:
        raise ValueError("temperature: give at least one")
    attempts = []
    for each in temperatures:
        meaningless = SEARCH_OPTIONS if each > 0 else SAMPLING_OPTIONS
        meant = {name: value for name, value in options.items() if name not in meaningless}
        attempts.append(DecodingOptions(temperature=each, **meant))
    return attempts


def validate_options(
    word_timestamps: bool = False,
    hallucination_silence_threshold: float | None = None,
    batch_size: int | None = None,
    vad: bool = False,
    **others: object,
) -> None:
    """Raises ValueError for options that do not go together, and for `vad` where its package is not installed.

    It needs no model, so that it can be asked before one is loaded, and perhaps downloaded; what other options there
    are does not matter to it.
    """
    if vad and batch_size is None:
        raise ValueError("vad needs batch_size: one window after another, the recording is not cut at its pauses")
    if vad:
        check_detector()
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    if hallucination_silence_threshold is None:
        return
    if not hallucination_silence_threshold >= 0:
        raise ValueError(f"hallucination_silence_threshold must be at least 0, got {hallucination_silence_threshold}")
    if not word_timestamps:
        raise ValueError("hallucination_silence_threshold needs word_timestamps: made-up text is told by its words")
    if batch_size is not None:
        raise ValueError("hallucination_silence_threshold needs one window after another: leave batch_size out")


def parse_clips(clip_timestamps: str | Sequence[float]) -> list[tuple[float, float]]:
    """(start, end) of each clip in seconds; an end that is left out is infinite. Raises ValueError."""
    try:
        given = clip_timestamps.split(",") if isinstance(clip_timestamps, str) else clip_timestamps
        times = [float(time) for time in given if time != ""] or [0.0]
    except (TypeError, ValueError):
        raise ValueError(f"clip_timestamps takes seconds such as '0,10,20.5', got {clip_timestamps!r}") from None
    if len(times) % 2:
        times.append(math.inf)
    clips = list(zip(times[::2], times[1::2], strict=True))
    for start, end in clips:
        if not 0 <= start < end:
            raise ValueError(f"clip_timestamps: a clip cannot last from {start:g} to {end:g} s")
    return clips


def clips_in_frames(clips: list[tuple[float, float]], content_frames: int) -> list[tuple[int, int]]:
    """(first, stop) frame of each clip, as far as the recording goes."""
    within = [[round(min(time * FRAMES_PER_SECOND, content_frames)) for time in clip] for clip in clips]
    return [(first, stop) for first, stop in within if first < stop]


def spoken_language(model: Whisper, window: mx.array, language: str | None, verbose: bool | None) -> str:
    """The code of the language given, or else of the one detected in `window` (F, n_mels)."""
    detects = language is None and model.is_multilingual
    if detects and verbose:
        print("Detecting the language in the first 30 seconds; giving the language skips this.")
    (code,), _ = resolve_languages(model, model.encode(window[None]), language)
    if detects and verbose is not None:
        print(f"Detected language: {LANGUAGES[code].title()}")
    return code


def collect_segments(windows: Iterable[tuple[list[dict], int]], n_frames: int, verbose: bool | None) -> list[dict]:
    """The segments of all windows, printed as they come, or else a bar of how many of `n_frames` are done."""
    segments: list[dict] = []
    total = n_frames / FRAMES_PER_SECOND
    with tqdm(total=total, bar_format=BAR_FORMAT, disable=verbose is not False) as bar:
        for found, done in windows:
            if verbose:
                print_segments([segment for segment in found if segment["text"]])
            segments += found
            bar.update(done / FRAMES_PER_SECOND)
    return segments


def print_segments(segments: list[dict]) -> None:
    """[00:00.000 --> 00:04.200] text; what the terminal's encoding lacks is replaced."""
    encoding = sys.stdout.encoding or "utf-8"
    for segment in segments:
        start, end = format_timestamp(segment["start"]), format_timestamp(segment["end"])
        line = f"[{start} --> {end}] {segment['text']}"
        print(line.encode(encoding, errors="replace").decode(encoding), flush=True)
