"""Batches: padding, label positions, order."""

from itertools import islice

import mlx.core as mx
import numpy as np
import pytest

from mlx_whisper_lora.data.batches import batched, iterate_batches, make_batch
from mlx_whisper_lora.data.dataset import Example


def example(number: int, frames: int = 100, tokens: tuple[int, ...] = (1, 2, 3, 4, 9), prompt: int = 2) -> Example:
    return Example(np.full((frames, 80), number, np.float16), tokens, prompt)


def numbers(batch: list[Example]) -> list[int]:
    return [int(each.mel[0, 0]) for each in batch]


def test_a_batch_predicts_each_label_from_the_token_before_it():
    batch = make_batch([example(0), example(1, frames=130, tokens=(1, 7, 8, 5, 6, 4, 9), prompt=4)])
    assert batch.tokens.tolist() == [[1, 2, 3, 4, 0, 0], [1, 7, 8, 5, 6, 4]]
    assert batch.labels.tolist() == [3, 4, 9, 6, 4, 9]
    assert batch.positions.tolist() == [1, 2, 3, 6 + 3, 6 + 4, 6 + 5]
    assert batch.mel.shape == (2, 200, 80)  # the longest, and a quarter second, in half seconds


def test_frames_are_padded_with_zeros_to_the_given_length_as_in_transcription():
    batch = make_batch([example(1, frames=100)], frames=3000)
    assert batch.mel.shape == (1, 3000, 80)
    assert batch.mel[0, 99, 0].item() == 1.0 and mx.abs(batch.mel[0, 100:]).max().item() == 0.0


@pytest.mark.parametrize("count", [3, 10, 200])
def test_every_example_comes_about_once_an_epoch(count):
    dataset = [example(i, frames=100 + i) for i in range(count)]
    epochs = 4
    seen = [
        number
        for batch in islice(iterate_batches(dataset, 4, seed=0), count * epochs // min(4, count))
        for number in numbers(batch)
    ]
    times = [seen.count(i) for i in range(count)]
    assert set(times) <= {epochs - 1, epochs, epochs + 1}
    n_first = count - count % 4
    assert len(set(seen[:n_first])) == n_first or count < 4


def test_epochs_of_full_batches_hold_every_example_exactly_once():
    dataset = [example(i) for i in range(64)]
    batches = iterate_batches(dataset, 4, seed=0)
    epochs = [[number for batch in islice(batches, 16) for number in numbers(batch)] for _ in range(3)]
    assert all(sorted(epoch) == list(range(64)) for epoch in epochs)
    assert epochs[0] != epochs[1]


def test_the_order_is_fixed_by_the_seed():
    dataset = [example(i) for i in range(30)]

    def order(seed: int) -> list[list[int]]:
        return [numbers(batch) for batch in islice(iterate_batches(dataset, 4, seed), 20)]

    assert order(1) == order(1) != order(2)


def test_a_batch_holds_clips_of_similar_length():
    random = np.random.default_rng(0)
    dataset = [example(i, frames=int(random.integers(100, 2000))) for i in range(64)]
    spreads = [
        max(len(e.mel) for e in batch) - min(len(e.mel) for e in batch)
        for batch in islice(iterate_batches(dataset, 4, 0), 16)
    ]
    assert np.mean(spreads) < 300


def test_a_batch_larger_than_the_dataset_is_the_dataset():
    assert sorted(numbers(next(iterate_batches([example(0), example(1)], 16, seed=0)))) == [0, 1]


def test_batches_in_the_order_of_the_items():
    assert [numbers(batch) for batch in batched([example(i) for i in range(5)], 2)] == [[0, 1], [2, 3], [4]]
