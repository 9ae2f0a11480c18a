"""One training example: the log-mel frames the encoder sees and the tokens the decoder learns to give."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mlx_whisper_lora.whisper.audio import FRAMES_PER_SECOND, HOP_LENGTH, N_FFT, N_FRAMES
from mlx_whisper_lora.whisper.mel import log_mel_spectrogram
from mlx_whisper_lora.whisper.tokenizer import Tokenizer


@dataclass(frozen=True)
class Example:
    """mel: (F, n_mels) float16, F even and at most 3000. tokens: from start to end of transcript; the decoder is
    given the first `prompt_length` and learns the rest."""

    mel: np.ndarray
    tokens: tuple[int, ...]
    prompt_length: int


def clip_frames(samples: np.ndarray, n_mels: int) -> np.ndarray:
    """Log-mel frames of a clip of at most 30 s, shape (F, n_mels), float16, F even.

    They are the first F frames of the 30 s window that the clip would be padded to; `pad_frames` gives the rest.
    """
    silence = N_FFT // 2 + HOP_LENGTH  # after this many zeros no frame touches the clip
    frames = -(-(len(samples) + silence) // HOP_LENGTH)
    frames = min(frames + frames % 2, N_FRAMES)
    padded = np.pad(samples, (0, (frames + 1) * HOP_LENGTH + silence - len(samples)))
    return np.array(log_mel_spectrogram(padded, n_mels)[:frames]).astype(np.float16)


def context_frames(seconds: float) -> int | None:
    """The mel frames, an even number, of an audio context of so many seconds; None for 0, as many as needed."""
    return round(seconds * FRAMES_PER_SECOND / 2) * 2 or None


def pad_frames(mel: np.ndarray, frames: int) -> np.ndarray:
    """Lengthen log-mel frames (F, n_mels) to (frames, n_mels) by what digital silence would give, or cut them.

    Silence is 1e-10 of power, or 8 below the recording's maximum, whichever is more, scaled as (x + 4) / 4.
    """
    silence = max(float(mel.max()) - 2.0, -1.5)
    missing = max(frames - len(mel), 0)
    return np.pad(mel[:frames], ((0, missing), (0, 0)), constant_values=silence)


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
