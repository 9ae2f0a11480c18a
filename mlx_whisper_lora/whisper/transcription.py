"""Long-form transcription: a recording of any length, one window after another.

Radford et al. (2022), section 4.5, as openai-whisper does it: the timestamps that the model writes say where the next
window starts; what was said so far is its prompt; a window decoded badly is tried again at higher temperatures.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import mlx.core as mx
from tqdm import tqdm

from mlx_whisper_lora.whisper.audio import (
    FRAMES_PER_POSITION,
    FRAMES_PER_SECOND,
    HOP_LENGTH,
    N_FRAMES,
    SAMPLE_RATE,
    SECONDS_PER_POSITION,
    pad_or_trim,
)
from mlx_whisper_lora.whisper.decoding import (
    DecodingOptions,
    DecodingResult,
    as_tokens,
    decode_features,
    encode,
    model_tokenizer,
    window_languages,
)
from mlx_whisper_lora.whisper.languages import LANGUAGES
from mlx_whisper_lora.whisper.mel import Audio, MelWindows
from mlx_whisper_lora.whisper.model import Whisper
from mlx_whisper_lora.whisper.tokenizer import Tokenizer
from mlx_whisper_lora.whisper.writers import format_timestamp

TEMPERATURES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
CONTEXT_TEMPERATURE = 0.5  # text sampled at a higher one is too uncertain to be the next window's prompt
BAR_FORMAT = "{l_bar}{bar}| {n:.0f}/{total:.0f} s [{elapsed}<{remaining}]"


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
    language: str | None = None,
    task: str = "transcribe",
    **decode_options,
) -> dict:
    """Transcribe a whole recording.

    audio: a sound file (a path, bytes or a binary stream), or 16 kHz samples of shape (n_samples,).
    verbose: True prints each segment as it is found, False shows a progress bar, None prints nothing.
    temperature: one, or several to try in turn while a window's transcript fails a test below.
    compression_ratio_threshold: text that zlib shrinks more than this many times repeats itself: a failure.
    logprob_threshold: text with a lower mean log-probability is a failure.
    no_speech_threshold: a failed window whose probability of silence is higher is skipped.
    condition_on_previous_text: give each window what was said so far as its prompt.
    initial_prompt: text to give the first window as its prompt, such as names that will occur.
    language: a code or an English name; None detects it in the first 30 s.
    task: "transcribe", or "translate" into English.
    decode_options: further fields of DecodingOptions; `prompt` is set by what was said.

    Returns a dict of "text", "language" (a code) and "segments": dicts of "id", "seek" (the window's first frame),
    "start" and "end" in seconds, "text", "tokens", and the window's "temperature", "avg_logprob",
    "compression_ratio" and "no_speech_prob".
    Raises AudioError for a recording that cannot be read and ValueError for options that the model cannot follow.
    """
    # Each only where it means something: openai-whisper drops them likewise.
    sampling = {"best_of": decode_options.pop("best_of", None)}
    searching = {name: decode_options.pop(name, None) for name in ("beam_size", "patience")}
    temperatures = [temperature] if isinstance(temperature, (int, float)) else list(temperature)
    if not temperatures:
        raise ValueError("temperature: give at least one")
    attempts = [
        DecodingOptions(task=task, temperature=each, **(sampling if each > 0 else searching), **decode_options)
        for each in temperatures
    ]
    thresholds = Thresholds(compression_ratio_threshold, logprob_threshold, no_speech_threshold)
    model_tokenizer(model, language, task)  # so that an unknown language is told before the recording is read

    mel = MelWindows(audio, model.dims.n_mels)
    content_frames = mel.n_frames
    window_frames = min(N_FRAMES, model.dims.n_audio_ctx * FRAMES_PER_POSITION)
    language = spoken_language(model, mel.window(0, window_frames), language, verbose)
    attempts = [replace(options, language=language) for options in attempts]
    tokenizer = model_tokenizer(model, language, task)

    prompt = as_tokens(initial_prompt, tokenizer)
    said = list(prompt)  # the prompt, then the tokens of every segment
    context_start = 0  # where in `said` the next window's prompt starts
    segments: list[dict] = []
    seek = 0  # the first frame that is not transcribed yet
    with tqdm(total=content_frames / FRAMES_PER_SECOND, bar_format=BAR_FORMAT, disable=verbose is not False) as bar:
        while seek < content_frames:
            n_frames = min(window_frames, content_frames - seek)
            window = pad_or_trim(mel.window(seek, n_frames), window_frames, axis=0)
            result = decode_with_fallback(model, window, attempts, thresholds, said[context_start:])
            if thresholds.silent(result):
                advance = n_frames
            else:
                stretches, advance = cut_at_timestamps(result.tokens, tokenizer, n_frames)
                found = window_segments(stretches, result, seek, len(segments), tokenizer)
                if verbose:
                    print_segments(found)
                clear_empty(found)
                segments += found
                said += [token for segment in found for token in segment["tokens"]]
                if not condition_on_previous_text or result.temperature > CONTEXT_TEMPERATURE:
                    context_start = len(said)
            bar.update(min(advance, content_frames - seek) / FRAMES_PER_SECOND)
            seek += advance
    return {"text": tokenizer.decode(said[len(prompt) :]), "segments": segments, "language": language}


def spoken_language(model: Whisper, window: mx.array, language: str | None, verbose: bool | None) -> str:
    """The code of the language given, or else of the one detected in `window` (F, n_mels)."""
    detects = language is None and model.is_multilingual
    if detects and verbose:
        print("Detecting the language in the first 30 seconds; giving the language skips this.")
    (code,), _ = window_languages(model, encode(model, window[None]), language)
    if detects and verbose is not None:
        print(f"Detected language: {LANGUAGES[code].title()}")
    return code


def decode_with_fallback(
    model: Whisper, window: mx.array, attempts: list[DecodingOptions], thresholds: Thresholds, prompt: list[int]
) -> DecodingResult:
    """Decode a window (F, n_mels) by each of `attempts` in turn until one passes the thresholds, or the last."""
    features = encode(model, window[None])
    for options in attempts:
        (result,) = decode_features(model, features, replace(options, prompt=prompt))
        if not thresholds.failed(result):
            break
    return result


def cut_at_timestamps(
    tokens: list[int], tokenizer: Tokenizer, n_frames: int
) -> tuple[list[tuple[float, float, list[int]]], int]:
    """Cut a window's tokens where two timestamps meet.

    Returns (start, end, tokens) of each stretch, in seconds from the window's start, and how many of the window's
    `n_frames` frames are done with. Text after the last pair of timestamps is cut off in mid-speech: it is left to
    the next window, which starts at that timestamp.
    """
    times = [token - tokenizer.timestamp_begin for token in tokens]  # negative for text
    cuts = [i for i in range(1, len(times)) if times[i - 1] >= 0 and times[i] >= 0]
    speech_ended = len(times) > 1 and times[-2] < 0 <= times[-1]  # one timestamp closes the window: silence follows

    if not cuts:
        last = next((time for time in reversed(times) if time >= 0), 0)
        end = last * SECONDS_PER_POSITION if last > 0 else n_frames * HOP_LENGTH / SAMPLE_RATE
        return [(0.0, end, tokens)], n_frames

    if speech_ended:
        cuts.append(len(tokens))
    stretches = []
    for first, stop in pairwise([0, *cuts]):
        start, end = (max(time, 0) * SECONDS_PER_POSITION for time in (times[first], times[stop - 1]))
        stretches.append((start, end, tokens[first:stop]))
    done = n_frames if speech_ended else times[cuts[-1] - 1] * FRAMES_PER_POSITION
    return stretches, done or n_frames  # never stand still


def window_segments(
    stretches: list[tuple[float, float, list[int]]],
    result: DecodingResult,
    seek: int,
    first_id: int,
    tokenizer: Tokenizer,
) -> list[dict]:
    """Segments, timed from the recording's start, for the stretches of the window that starts at frame `seek`."""
    offset = seek * HOP_LENGTH / SAMPLE_RATE
    return [
        {
            "id": first_id + i,
            "seek": seek,
            "start": offset + start,
            "end": offset + end,
            "text": tokenizer.decode([token for token in tokens if token < tokenizer.eot]),
            "tokens": tokens,
            "temperature": result.temperature,
            "avg_logprob": result.avg_logprob,
            "compression_ratio": result.compression_ratio,
            "no_speech_prob": result.no_speech_prob,
        }
        for i, (start, end, tokens) in enumerate(stretches)
    ]


def clear_empty(segments: list[dict]) -> None:
    """Take the text and tokens out of segments that last no time or say nothing."""
    for segment in segments:
        if segment["start"] == segment["end"] or not segment["text"].strip():
            segment["text"], segment["tokens"] = "", []


def print_segments(segments: list[dict]) -> None:
    """[00:00.000 --> 00:04.200] text; what the terminal's encoding lacks is replaced."""
    encoding = sys.stdout.encoding or "utf-8"
    for segment in segments:
        start, end = format_timestamp(segment["start"]), format_timestamp(segment["end"])
        line = f"[{start} --> {end}] {segment['text']}"
        print(line.encode(encoding, errors="replace").decode(encoding), flush=True)
