"""Windows of several utterances, or of none, with the labels that a decoder should give them."""

import random
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mlx_whisper_lora.data.labels import add_previous, transcript_tokens, window_tokens
from mlx_whisper_lora.whisper.audio.constants import SAMPLE_RATE
from mlx_whisper_lora.whisper.text.tokenizer import Tokenizer, get_tokenizer
from tools.demo_model.corpus import Item
from tools.demo_model.language import LANGUAGES
from tools.demo_model.noise import no_speech, noise_floor
from tools.demo_model.vocabulary import DIMENSIONS
from tools.demo_model.voices import Audio

_MAX_PROMPT = DIMENSIONS.n_text_ctx // 2 - 1  # tokens

Label = tuple[tuple[int, ...], int]  # tokens, and the number of them that are the prompt
Words = list[tuple[str, float, float]]  # text, start and end in seconds


class Recording(NamedTuple):
    """Audio and its label."""

    audio: Audio
    label: Label
    words: Words


def lay_out(utterances: Sequence[Audio], rng: np.random.Generator, seconds: float = 30.0) -> tuple[Audio, list[float]]:
    """Place utterances in a window, 0.2 to 3 s apart, on a floor of silence or noise.

    Args:
        utterances: each of shape (samples,). The window's end cuts the one that crosses it, and drops those after it.
        rng: the source of chance.
        seconds: length of the window.

    Returns:
        The audio, shape (seconds * 16000,), and the start in seconds of each utterance that was not dropped.
    """
    length = int(seconds * SAMPLE_RATE)
    audio = np.zeros(length, dtype=np.float32) if rng.random() < 0.5 else noise_floor(length, rng)
    starts: list[float] = []
    position = int(SAMPLE_RATE * (rng.uniform(0, 0.1) if rng.random() < 0.6 else rng.uniform(0.1, 4)))
    for speech in utterances:
        if position > length - SAMPLE_RATE // 4:  # less than 0.25 s would be no audible start
            break
        end = position + len(speech)
        audio[position:end] += speech[: length - position]
        starts.append(position / SAMPLE_RATE)
        position = end + int(SAMPLE_RATE * rng.uniform(0.2, 3))
    return np.clip(audio, -1, 1), starts


def make_window(index: int, seed: int, seconds: float, items: dict[str, list[Item]]) -> Recording:
    """Make a window of several utterances, or in one case of ten of none.

    Args:
        index: number of the window.
        seed: with `index`, all that chance depends on.
        seconds: length of the window.
        items: the utterances of each language.
    """
    chance = random.Random(f"{seed}/{index}")
    rng = np.random.default_rng([seed, index])
    language = chance.choice(LANGUAGES)
    tokenizer = get_tokenizer(True, language=language)
    if chance.random() < 0.1:
        return Recording(no_speech(seconds, rng), _no_speech_label(tokenizer, chance), [])
    # Few utterances leave a long silence at the end, which a padded clip has too.
    chosen = chance.choices(items[language], k=chance.choice((1, 2, 3, 30, 30, 30)))
    audio, starts = lay_out([item.audio() for item in chosen], rng, seconds)
    chosen = chosen[: len(starts)]
    words = [word for item, start in zip(chosen, starts, strict=True) for word in timed_words(item, start)]
    ends = [start + item.length / SAMPLE_RATE for item, start in zip(chosen, starts, strict=True)]
    if chance.random() < 0.2 and ends[-1] <= seconds:
        text = " ".join(item.text for item in chosen)
        return Recording(audio, label_from_sot(transcript_tokens(tokenizer, text), tokenizer), words)
    # Decoding forces the first timestamp to be 1.00 at most. An utterance that the window cuts has no end.
    starts[0] = min(starts[0], 1.0)
    segments = [
        (start, end if end <= seconds else None, item.text)
        for item, start, end in zip(chosen, starts, ends, strict=True)
    ]
    previous = _previous_tokens(chance, items[language], tokenizer) if chance.random() < 0.5 else []
    label = add_previous(window_tokens(tokenizer, segments), tokenizer, previous)
    return Recording(audio, label_from_sot(label, tokenizer), words)


def label_from_sot(label: Label, tokenizer: Tokenizer) -> Label:
    """Shorten a label's prompt to the start of transcript, so that language, task and times are learned too."""
    tokens, _ = label
    return tokens, tokens.index(tokenizer.sot) + 1


def timed_words(item: Item, start: float = 0.0) -> Words:
    """Return an utterance's words with their times, for an utterance that starts at `start` seconds."""
    return [
        (text, start + first, start + last) for text, (first, last) in zip(item.text.split(), item.words, strict=True)
    ]


def _previous_tokens(chance: random.Random, items: list[Item], tokenizer: Tokenizer) -> list[int]:
    """Return what transcription gives as the text before a window: the last tokens of some segments with their
    timestamps, or, as a user gives it, text alone."""
    chosen = chance.choices(items, k=chance.choice((1, 2, 4, 8, 16, 30)))
    if chance.random() < 0.2:
        return tokenizer.encode(" " + " ".join(item.text for item in chosen))[-_MAX_PROMPT:]
    tokens, time = [], 0.0
    for item in chosen:
        end = time + item.length / SAMPLE_RATE
        if end > 30:
            time, end = 0.0, item.length / SAMPLE_RATE
        label, start = window_tokens(tokenizer, [(time, end, item.text)])
        tokens += label[start:-1]
        time = end + chance.uniform(0.1, 1)
    return tokens[-_MAX_PROMPT:]


def _no_speech_label(tokenizer: Tokenizer, chance: random.Random) -> Label:
    """Return <|nospeech|>, or an empty transcript for a decoder that has to write one."""
    if chance.random() < 0.6:
        return transcript_tokens(tokenizer, "")
    return (*tokenizer.sot_sequence, tokenizer.timestamp(0), tokenizer.eot), len(tokenizer.sot_sequence)
