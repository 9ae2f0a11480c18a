"""The silence after a short window.

Whisper was trained on windows of 30 s. In a shorter one, the features of the speech change little, but the decoder
misses the silence after it, and repeats itself. Silence sounds the same after every window, so it is encoded apart from
it, once, and the decoder attends to both.
"""

from collections.abc import Callable

import mlx.core as mx
import mlx.nn as nn
from mlx.utils import tree_flatten

from mlx_whisper_lora.whisper.audio.constants import SECONDS_PER_POSITION

# With 10 s of it, Whisper base has the word error rate of windows of 30 s: 13.4 % and 13.5 % on 60 utterances of
# LibriSpeech. With 5 s it has 46 %, without silence 260 %.
SILENT_POSITIONS = round(10 / SECONDS_PER_POSITION)
# The log-mel of silence after speech: 8 decades below the loudest frame. From -1.5 to -0.4, it makes no difference.
SILENT_LOG_MEL = -0.7


class SilenceCache:
    """Keeps the features of silence, for each position that it starts at, until the encoder changes."""

    def __init__(self) -> None:
        self._weights: list[mx.array] = []
        self._features: dict[int, mx.array] = {}

    def get(self, encoder: nn.Module, first: int, encode: Callable[[], mx.array]) -> mx.array:
        """Return the features of the silence from position `first` on. `encode` computes those that are not known."""
        weights = [array for _, array in tree_flatten(encoder.parameters())]
        old = self._weights
        if len(weights) != len(old) or any(new is not each for new, each in zip(weights, old, strict=True)):
            self._weights, self._features = weights, {}
        if first not in self._features:
            self._features[first] = encode()
        return self._features[first]
