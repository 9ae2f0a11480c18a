"""Turn texts into the tokens that the decoder learns to give."""

from collections.abc import Sequence
from typing import NamedTuple

from mlx_whisper_lora.whisper.audio.constants import FRAMES_PER_SECOND
from mlx_whisper_lora.whisper.text.tokenizer import SECONDS_PER_TIMESTAMP, Tokenizer


class Label(NamedTuple):
    """The tokens of a window, from start to end of transcript."""

    tokens: tuple[int, ...]
    prompt_length: int  # no loss is taken on these first tokens


def transcript_tokens(tokenizer: Tokenizer, text: str) -> Label:
    """Return the label of a clip without timestamps.

    The prompt is the full start-of-transcript sequence: language, task, no timestamps. A clip without text teaches
    that there is no speech: <|nospeech|> right after the start (Radford et al. 2022, section 2.3).
    """
    text = text.strip()
    if not text:
        return Label((tokenizer.sot, tokenizer.no_speech, tokenizer.eot), 1)
    prompt = tokenizer.sot_sequence_including_notimestamps
    return Label((*prompt, *tokenizer.encode(" " + text), tokenizer.eot), len(prompt))


def timed_tokens(tokenizer: Tokenizer, label: Label, seconds: float) -> Label:
    """Return the label of a clip with timestamps at its start and end, from the label of its text without them."""
    text = label.tokens[label.prompt_length : -1]
    prompt = tokenizer.sot_sequence
    tokens = (*prompt, tokenizer.timestamp(0), *text, tokenizer.timestamp(seconds), tokenizer.eot)
    return Label(tokens, len(prompt))


def window_tokens(
    tokenizer: Tokenizer, segments: Sequence[tuple[float, float | None, str]], previous: Sequence[int] = ()
) -> Label:
    """Return the label of a window with timestamps.

    Args:
        tokenizer: Gives the language and the task.
        segments: Start, end and text of each, in seconds. An end of None marks a segment that the window cuts. Only its
            start goes into the label, so that the next window begins there (Radford et al. 2022, section 2.3).
        previous: The tokens before the window, which become part of the prompt.
    """
    context: list[int] = [tokenizer.sot_prev, *previous] if previous else []
    label: list[int] = []
    for start, end, text in segments:
        label.append(tokenizer.timestamp(start))
        if end is not None:
            label += [*tokenizer.encode(" " + text.strip()), tokenizer.timestamp(end)]
    prompt = [*context, *tokenizer.sot_sequence]
    return Label((*prompt, *label, tokenizer.eot), len(prompt))


def move_end(label: Label, n_frames: int) -> Label:
    """Return a label with timestamps whose last segment ends `n_frames` frames later."""
    *tokens, end, eot = label.tokens
    return Label((*tokens, end + round(n_frames / FRAMES_PER_SECOND / SECONDS_PER_TIMESTAMP), eot), label.prompt_length)


def stretch_times(label: Label, timestamp_begin: int, factor: float) -> Label:
    """Return a label whose timestamps, the tokens from `timestamp_begin` on, are multiplied by a factor."""

    def stretched(token: int) -> int:
        return token if token < timestamp_begin else timestamp_begin + round((token - timestamp_begin) * factor)

    return Label(tuple(map(stretched, label.tokens)), label.prompt_length)
