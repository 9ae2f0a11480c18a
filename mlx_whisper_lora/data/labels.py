"""TODO."""

from collections.abc import Sequence

from mlx_whisper_lora.whisper.text.tokenizer import Tokenizer


def transcript_tokens(tokenizer: Tokenizer, text: str) -> tuple[tuple[int, ...], int]:
    """Tokens of a clip's label and the length of its prompt, on which no loss is taken.

    The prompt is the full start-of-transcript sequence: language, task, no timestamps. A clip without text teaches
    that nothing is said: <|nospeech|> right after the start (Radford et al. 2022, section 2.3).
    """
    words = text.strip()
    if not words:
        return (tokenizer.sot, tokenizer.no_speech, tokenizer.eot), 1
    prompt = tokenizer.sot_sequence_including_notimestamps
    return (*prompt, *tokenizer.encode(" " + words), tokenizer.eot), len(prompt)


def window_tokens(
    tokenizer: Tokenizer, segments: Sequence[tuple[float, float | None, str]], previous: Sequence[int] = ()
) -> tuple[tuple[int, ...], int]:
    """Tokens of a window with timestamps: `segments` are (start, end, text) in seconds.

    An end of None marks a segment that the window cuts: only its start is given, so that the next window begins there
    (Radford et al. 2022, section 2.3). `previous` are the tokens before the window; no loss is taken on them.
    """
    context: list[int] = [tokenizer.sot_prev, *previous] if previous else []
    label: list[int] = []
    for start, end, text in segments:
        label.append(tokenizer.timestamp(start))
        if end is not None:
            label += [*tokenizer.encode(" " + text.strip()), tokenizer.timestamp(end)]
    prompt = [*context, *tokenizer.sot_sequence]
    return (*prompt, *label, tokenizer.eot), len(prompt)
