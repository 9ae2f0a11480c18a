"""Turn texts into the tokens that the decoder learns to give."""

from collections.abc import Sequence
from typing import NamedTuple

from mlx_whisper_lora.whisper.text.tokenizer import N_TIMESTAMPS, SECONDS_PER_TIMESTAMP, Tokenizer


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


def window_tokens(tokenizer: Tokenizer, segments: Sequence[tuple[float, float | None, str]]) -> Label:
    """Return the label of a window with timestamps.

    Args:
        tokenizer: Gives the language and the task.
        segments: Start, end and text of each, in seconds. An end of None marks a segment that the window cuts. Only its
            start goes into the label, so that the next window begins there (Radford et al. 2022, section 2.3).
    """
    label: list[int] = []
    for start, end, text in segments:
        label.append(tokenizer.timestamp(start))
        if end is not None:
            label += [*tokenizer.encode(" " + text.strip()), tokenizer.timestamp(end)]
    return Label((*tokenizer.sot_sequence, *label, tokenizer.eot), len(tokenizer.sot_sequence))


def learn_language(label: Label, tokenizer: Tokenizer) -> Label:
    """Return a label that the language, and what follows it, is learned of if the vocabulary has a new language.

    Otherwise it would never be detected. Models of Whisper's own languages detect them already.
    """
    return label._replace(prompt_length=label.tokens.index(tokenizer.sot) + 1) if tokenizer.new_language else label


def add_previous(label: Label, tokenizer: Tokenizer, previous: Sequence[int]) -> Label:
    """Return the label of a window with the tokens before the window in its prompt, if there are any."""
    context = (tokenizer.sot_prev, *previous) if previous else ()
    return Label((*context, *label.tokens), len(context) + label.prompt_length)


def move_end(label: Label, timestamp_begin: int, seconds: float) -> Label:
    """Return a label whose last segment ends so many seconds later. Timestamps are the tokens from a given one on."""
    *tokens, end, eot = label.tokens
    if not _is_time(end, timestamp_begin):
        return label
    return label._replace(tokens=(*tokens, end + round(seconds / SECONDS_PER_TIMESTAMP), eot))


def stretch_times(label: Label, timestamp_begin: int, factor: float) -> Label:
    """Return a label whose timestamps, tokens from a given one on, are multiplied by a factor. The prompt stays."""

    def stretched(token: int) -> int:
        is_time = _is_time(token, timestamp_begin)
        return timestamp_begin + round((token - timestamp_begin) * factor) if is_time else token

    prompt, learned = label.tokens[: label.prompt_length], label.tokens[label.prompt_length :]
    return label._replace(tokens=(*prompt, *map(stretched, learned)))


def _is_time(token: int, timestamp_begin: int) -> bool:
    """Return whether a token is a timestamp, and not that of a new language, which comes after them."""
    return timestamp_begin <= token < timestamp_begin + N_TIMESTAMPS
