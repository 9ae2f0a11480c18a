"""Group examples of similar length into batches, padded to one shape."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeVar

import mlx.core as mx
import numpy as np

from mlx_whisper_lora.data.dataset import Example
from mlx_whisper_lora.whisper.audio.context import AUTO, context_frames
from mlx_whisper_lora.whisper.audio.load import pad_or_trim
from mlx_whisper_lora.whisper.model.ops import compiles

T = TypeVar("T")

NO_LABEL = -1  # a place without a loss
_COMPILED = 16  # a GPU computes tokens and labels in multiples of this, as each shape needs a program of its own
POOL_BATCHES = 16  # shuffled examples are sorted by length within this many batches


class Batch(NamedTuple):
    """Examples padded to one shape, with the positions that the loss is taken at."""

    mel: mx.array  # (B, F, n_mels)
    tokens: mx.array  # (B, T), the decoder's input
    positions: mx.array  # (N,), of the labels in the flattened outputs (B * T)
    labels: mx.array  # (N,), the tokens to predict there, or NO_LABEL


def make_batch(examples: Sequence[Example], frames: int | None = None) -> Batch:
    """Pad examples to one batch, as transcription pads a window: with zeros in the log-mel.

    Args:
        examples: One for each row.
        frames: The mel frames of the batch. By default, as many as the audio context "auto" gives the longest example.
    """
    examples = [each.loaded() for each in examples]
    return Batch(pad_mels(examples, frames or batch_frames(examples)), *make_labels(examples))


def pad_mels(examples: Sequence[Example], frames: int) -> mx.array:
    """Return the log-mels of examples, padded with zeros to one shape (B, frames, n_mels)."""
    return mx.array(np.stack([pad_or_trim(each.mel, frames, axis=0) for each in examples]).astype(np.float32))


def make_labels(examples: Sequence[Example]) -> tuple[mx.array, mx.array, mx.array]:
    """Return the tokens, positions and labels of a batch, as in `Batch`."""
    multiple = _COMPILED if compiles() else 1
    width = _round_up(max(len(example.tokens) for example in examples) - 1, multiple)
    tokens = np.zeros((len(examples), width), dtype=np.int32)
    positions: list[int] = []
    labels: list[int] = []
    for row, example in enumerate(examples):
        tokens[row, : len(example.tokens) - 1] = example.tokens[:-1]
        # The output at position t predicts token t + 1.
        positions += range(row * width + example.prompt_length - 1, row * width + len(example.tokens) - 1)
        labels += example.tokens[example.prompt_length :]
    padding = _round_up(len(labels), multiple) - len(labels)
    positions, labels = positions + [0] * padding, labels + [NO_LABEL] * padding
    return mx.array(tokens), mx.array(positions), mx.array(labels)


def _round_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple


def batch_frames(examples: Sequence[Example], audio_context: float = AUTO) -> int:
    """Return the mel frames of a batch in an audio context: those that transcription gives its longest example."""
    return context_frames(max(example.n_frames for example in examples), audio_context)


def iterate_batches(dataset: Sequence[Example], batch_size: int, seed: int) -> Iterator[list[Example]]:
    """Yield batches without end: every example once an epoch, in a random order.

    A batch holds clips of similar length, so that little of it is padding.

    Args:
        dataset: The examples; only their `n_frames` is read, to sort them.
        batch_size: Examples in a batch; all of them if the dataset is smaller.
        seed: Fixes the order.
    """
    rng = np.random.default_rng(seed)
    batch_size = min(batch_size, len(dataset))
    left: list[int] = []
    while True:
        order = [*left, *rng.permutation(len(dataset)).tolist()]
        for first in range(0, len(order), POOL_BATCHES * batch_size):
            pool = order[first : first + POOL_BATCHES * batch_size]
            left = pool[len(pool) - len(pool) % batch_size :]
            pool = sorted(pool[: len(pool) - len(left)], key=lambda i: dataset[i].n_frames)
            batches = [pool[i : i + batch_size] for i in range(0, len(pool), batch_size)]
            for i in rng.permutation(len(batches)):
                yield [dataset[j] for j in batches[i]]


def batched(items: Sequence[T], batch_size: int) -> Iterator[list[T]]:
    """Yield the items once, in their order, `batch_size` at a time."""
    for first in range(0, len(items), batch_size):
        yield [items[i] for i in range(first, min(first + batch_size, len(items)))]
