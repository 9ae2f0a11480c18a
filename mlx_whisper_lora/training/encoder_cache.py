"""Compute the frozen first blocks of the encoder once for each clip, and not at every pass over the clips."""

import contextlib
import tempfile
from collections.abc import Sequence
from typing import IO, NamedTuple

import mlx.core as mx
import mlx.nn as nn
import numpy as np
from mlx.utils import tree_flatten

from mlx_whisper_lora.data.batches import batch_frames, make_labels, pad_mels
from mlx_whisper_lora.data.dataset import Example
from mlx_whisper_lora.training.loss import loss_from_features
from mlx_whisper_lora.whisper.audio.constants import FRAMES_PER_POSITION
from mlx_whisper_lora.whisper.model.whisper import AudioEncoder, Whisper


class CachedBatch(NamedTuple):
    """A batch whose first encoder blocks are computed already. The other fields are those of `Batch`."""

    states: mx.array  # (B, P, D)
    tokens: mx.array
    positions: mx.array
    labels: mx.array


def frozen_blocks(encoder: nn.Module) -> int:
    """Return how many blocks of the encoder come before the first layer that is trained."""
    if not isinstance(encoder, AudioEncoder):
        return 0  # an adapter wraps it
    for first, block in enumerate(encoder.blocks):
        if tree_flatten(block.trainable_parameters()):
            return first
    return len(encoder.blocks)


class EncoderCache:
    """Keeps the states after the frozen blocks of the encoder, in float16, in a temporary file without a name.

    A window is kept for each length that a clip is padded to. Give `collate` and `loss` to `train`.

    Args:
        model: the model, with its adapter.
        limit: bytes of the file. States beyond it are computed whenever they are needed.
    """

    def __init__(self, model: Whisper, limit: float):
        self.model, self.limit = model, limit
        self.n_blocks = frozen_blocks(model.encoder)
        self._file: IO[bytes] | None = None
        self._places: dict[tuple[int, int], int] = {}  # from a log-mel and its frames to an offset in the file
        self._size = 0

    def collate(self, examples: Sequence[Example], frames: int | None = None) -> CachedBatch:
        """Make a batch of examples, with states from the file or computed now."""
        frames = frames or batch_frames(examples)
        new = [each for each in examples if (id(each.mel), frames) not in self._places]
        computed = iter(self._compute(new, frames)) if new else iter(())
        states = []
        for each in examples:
            place = self._places.get((id(each.mel), frames))
            states.append(self._read(place, frames) if place is not None else next(computed))
            if place is None:
                self._write((id(each.mel), frames), states[-1])
        return CachedBatch(mx.array(np.stack(states)).astype(self.model.dtype), *make_labels(examples))

    def loss(self, model: Whisper, batch: CachedBatch) -> mx.array:
        """Return `cross_entropy_loss` of a batch."""
        return loss_from_features(model, model.encoder.upper(batch.states, self.n_blocks), batch)

    def _compute(self, examples: Sequence[Example], frames: int) -> np.ndarray:
        mel = pad_mels(examples, frames).astype(self.model.dtype)
        return np.array(self.model.encoder.lower(mel, self.n_blocks).astype(mx.float16))

    def _read(self, place: int, frames: int) -> np.ndarray:
        assert self._file is not None
        shape = (frames // FRAMES_PER_POSITION, self.model.dims.n_audio_state)
        self._file.seek(place)
        return np.fromfile(self._file, np.float16, shape[0] * shape[1]).reshape(shape)

    def _write(self, key: tuple[int, int], states: np.ndarray) -> None:
        if self._size + states.nbytes > self.limit:
            return
        with contextlib.suppress(OSError):
            self._file = self._file or tempfile.TemporaryFile(prefix="encoder-", buffering=0)  # noqa: SIM115
            self._file.seek(self._size)
            if self._file.write(states.tobytes()) == states.nbytes:
                self._places[key] = self._size
                self._size += states.nbytes
                return
        self.limit = self._size  # the disk is full, or there is none: what there is serves on
