"""TODO."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Example:
    """mel: (F, n_mels) float16, F even and at most 3000. tokens: from start to end of transcript; the decoder is
    given the first `prompt_length` and learns the rest."""

    mel: np.ndarray
    tokens: tuple[int, ...]
    prompt_length: int
