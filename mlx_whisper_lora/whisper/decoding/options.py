"""The options of decoding."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class DecodingOptions:
    """How to decode a window.

    task: "transcribe", or "translate" into English.
    language: a code or an English name; None detects it in each window.
    temperature: 0 takes the likeliest token at every step, above 0 samples.
    sample_len: the most tokens to write; None is half of the model's text context.
    best_of: how many sequences to sample at a temperature above 0; the likeliest is kept.
    beam_size: how many sequences beam search follows at temperature 0; None takes the likeliest token at every step.
    patience: beam search ends once `beam_size` times this many sequences have (Kasai et al. 2022); None is 1.
    length_penalty: alpha, 0 to 1, of Wu et al. (2016), which compares sequences of unlike length: 0 favours short ones.
        None compares the mean log-probability of a token.
    prompt: text or tokens of what was said before, as context.
    prefix: text or tokens that this window's transcript starts with.
    suppress_tokens: tokens never written, as numbers or "1,2,3"; -1 stands for the tokenizer's non-speech tokens.
        Whisper's special tokens are added; None or "" suppresses nothing at all.
    suppress_blank: forbid a transcript that starts with a space or with its end.
    without_timestamps: write text only.
    max_initial_timestamp: the latest start of the first segment, in seconds; None or 0 for no limit.

    Raises ValueError for values that contradict each other.
    """

    task: str = "transcribe"
    language: str | None = None
    temperature: float = 0.0
    sample_len: int | None = None
    best_of: int | None = None
    beam_size: int | None = None
    patience: float | None = None
    length_penalty: float | None = None
    prompt: str | Sequence[int] | None = None
    prefix: str | Sequence[int] | None = None
    suppress_tokens: str | Sequence[int] | None = "-1"
    suppress_blank: bool = True
    without_timestamps: bool = False
    max_initial_timestamp: float | None = 1.0

    def __post_init__(self):
        if self.temperature < 0:
            raise ValueError(f"temperature must not be negative, got {self.temperature}")
        if self.best_of is not None and self.temperature == 0:
            raise ValueError("best_of needs a temperature above 0: at 0 every sequence is the same")
        if self.beam_size is not None and self.temperature > 0:
            raise ValueError("beam_size needs temperature 0: above it sequences are sampled, best_of of them")
        if self.patience is not None and self.beam_size is None:
            raise ValueError("patience needs beam_size: only beam search can wait")
        if self.patience is not None and round((self.beam_size or 0) * self.patience) < 1:
            raise ValueError(f"patience must let at least one sequence end, got {self.patience}")
        if self.length_penalty is not None and not 0 <= self.length_penalty <= 1:
            raise ValueError(f"length_penalty must be from 0 to 1, got {self.length_penalty}")
        for name in ("best_of", "beam_size"):
            count = getattr(self, name)
            if count is not None and count < 1:
                raise ValueError(f"{name} must be at least 1, got {count}")
