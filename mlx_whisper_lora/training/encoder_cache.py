"""Compute what is not trained apart from the step: the frozen first blocks of the encoder, and silence.

The frozen blocks give a clip the same states at every pass, so these are kept.
"""

import threading
from collections.abc import Sequence
from typing import Any, Protocol

import mlx.core as mx
import mlx.nn as nn
import numpy as np
from mlx.utils import tree_flatten

from mlx_whisper_lora.data.array_cache import ArrayCache
from mlx_whisper_lora.data.batches import batch_frames, pad_mels
from mlx_whisper_lora.data.dataset import Example
from mlx_whisper_lora.training.loss import TranscriptLoss
from mlx_whisper_lora.whisper.audio.constants import FRAMES_PER_POSITION
from mlx_whisper_lora.whisper.model.ops import compiles
from mlx_whisper_lora.whisper.model.whisper import AudioEncoder, Features, Whisper


class CachedBatch(Protocol):
    """A batch whose first encoder blocks are computed already. It has what the loss compares with, too."""

    @property
    def states(self) -> mx.array:
        """Of shape (B, P, D), or log-mels if no block is frozen for sure."""
        ...

    @property
    def silence(self) -> mx.array:
        """The features of what follows the window, (1, S, D)."""
        ...


class BatchLoss(Protocol):
    """What a model learns: the labels of a batch, and the loss. `TranscriptLoss` is one."""

    def batch(self, states: mx.array, silence: mx.array, examples: Sequence[Example]) -> Any:
        """Return a `CachedBatch` of arrays, a named tuple."""

    def __call__(self, model: Whisper, features: Features, batch: Any) -> mx.array:
        """Return the sum of the losses of a batch whose windows are encoded already."""


def frozen_blocks(encoder: nn.Module) -> int | None:
    """Return how many blocks of the encoder come before the first layer that is trained.

    None: the convolutions before them are trained, or an adapter wraps the encoder.
    """
    if not isinstance(encoder, AudioEncoder):
        return None
    blocks = encoder.blocks
    first = next((i for i, block in enumerate(blocks) if tree_flatten(block.trainable_parameters())), len(blocks))
    trained = [name for name, _ in tree_flatten(encoder.trainable_parameters())]
    outside = (name for name in trained if not name.startswith(("blocks.", "ln_post.")))
    return first if next(outside, None) is None else None


class EncoderCache:
    """Computes the states after the frozen blocks of the encoder, apart from what is trained.

    They are kept in float16 in a temporary file without a name, if there are such blocks. A window is kept for each
    length that a clip is padded to. Give `collate` and `loss` to `train`. Several threads may call them.

    The silence after short windows is computed apart too, and no gradient goes through it. Call `renew_silence` from
    time to time if the encoder is trained.

    Args:
        model: the model, with its adapter.
        n_blocks: what `frozen_blocks` returns, or a smaller number.
        limit: bytes of the file. States beyond it are computed whenever they are needed.
        loss: what the model learns. By default, transcripts.
    """

    def __init__(self, model: Whisper, n_blocks: int | None, limit: float, loss: BatchLoss | None = None):
        self.model, self.n_blocks = model, n_blocks
        self.batch_loss: BatchLoss = loss or TranscriptLoss()
        self._states = ArrayCache(limit if n_blocks else 0, "encoder-")  # the convolutions alone are faster than a file
        self.silence: dict[int, mx.array] = {}  # features by the mel frames before them
        self._dtype = mx.float16 if self._states.limit else model.dtype
        self._lock = threading.Lock()  # of the silence

    def collate(self, examples: Sequence[Example], frames: int | None = None) -> Any:
        """Make a batch of examples, with states from the file or computed now."""
        examples = [each.loaded() for each in examples]
        frames = frames or batch_frames(examples)
        # The key of a log-mel that was drawn for one step may be that of an older one.
        kept = {each.key: self._states.get((each.key, frames)) for each in examples if not each.once}
        states = {key: array for key, array in kept.items() if array is not None}
        new = {each.key: each for each in examples if each.key not in states}
        if new:
            # The states of a clip that are kept should not depend on the clips beside it, and a product may.
            alone = self._states.limit and not compiles()
            parts = [[each] for each in new.values()] if alone else [list(new.values())]
            computed = np.concatenate([self._compute(part, frames) for part in parts])
            states |= zip(new, computed, strict=True)
        for key, example in new.items():
            if not example.once:
                self._states.put((key, frames), states[key])
        rows = np.stack([states[each.key] for each in examples])
        return self.batch_loss.batch(mx.array(rows).astype(self.model.dtype), self._silence_after(frames), examples)

    def loss(self, model: Whisper, batch: CachedBatch) -> mx.array:
        """Return the sum of the losses of a batch."""
        if self.n_blocks is None:
            features = model.encoder(batch.states)
        else:
            features = model.encoder.upper(batch.states, self.n_blocks)
        return self.batch_loss(model, (features, batch.silence) if batch.silence.size else features, batch)

    def renew_silence(self) -> None:
        """Compute the silence anew when it is needed, with the encoder as it is then."""
        self.silence = {}

    def _silence_after(self, frames: int) -> mx.array:
        with self._lock:
            if frames not in self.silence:
                self.model.eval()  # without dropout
                self.silence[frames] = self.model.encode_silence(frames // FRAMES_PER_POSITION)
                mx.eval(self.silence[frames])  # an array is computed in the thread that made it
                self.model.train()
            return self.silence[frames]

    def _compute(self, examples: Sequence[Example], frames: int) -> np.ndarray:
        mel = pad_mels(examples, frames).astype(self.model.dtype)
        states = mel if self.n_blocks is None else self.model.encoder.lower(mel, self.n_blocks)
        return np.array(states.astype(self._dtype))
