"""A second loss that teaches a new model which audio and which text belong together."""

from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import NamedTuple

import mlx.core as mx
import mlx.nn as nn
import numpy as np

from mlx_whisper_lora.data.batches import batch_frames, make_batch
from mlx_whisper_lora.whisper.model.ops import gelu
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.text.tokenizer import Tokenizer
from tools.demo_model.language import VOCABULARY
from tools.demo_model.recordings import SpokenExample
from tools.demo_model.vocabulary import DIMENSIONS, Vocabulary


class AlignedBatch(NamedTuple):
    """A Batch, and when its words are said."""

    mel: mx.array
    tokens: mx.array
    positions: mx.array
    labels: mx.array
    letters: mx.array  # (B, P / 2): the letter that is said at every second position, 0 for none
    text_tokens: mx.array  # (B, P / 2): the text token that is said there, 0 for none
    spans: mx.array  # (N, 2): the first and last position at which each label is said, or -1
    offsets: mx.array  # (B, 1): the place in a 30 s window of each example's first position


class EncodedBatch(NamedTuple):
    """A Batch with features in place of log-mels, and when its words are said."""

    features: mx.array  # (B, P, D)
    tokens: mx.array
    positions: mx.array
    labels: mx.array
    spans: mx.array  # as in AlignedBatch


class Aligner:
    """The second loss, without which the model takes hours to learn that audio and text belong together.

    The synthesizer reports when each word is said. Letters and text tokens are spread evenly over their word.

    - Half way up the encoder, a head predicts from each position which letter is said there.
    - At the top, a head predicts which text token is said, and another one where in the window the position is. The
      encoder would otherwise forget the latter, which timestamps need.
    - Two attention heads of each of the decoder's upper layers learn to attend, for each token, to its word, or for a
      timestamp to its time (guided attention: Tachibana et al. 2017).
    - Most short clips are taken to begin somewhere in a window whose rest is not computed, so that they teach all 30 s
      of positions and timestamps.
    """

    STEP = 2  # positions between letters: 40 ms
    LAYERS, HEADS = (1, 2, 3), 2
    MARGIN = 3  # positions
    AT_START = 0.3  # share of clips that begin at the start of the window

    def __init__(self, vocabulary: Vocabulary, tokenizer: Tokenizer):
        self.rng = np.random.default_rng(0)
        self.compact, self.tokenizer = vocabulary.compact, tokenizer
        self.starts_word = [tokenizer.decode([int(token)]).startswith(" ") for token in vocabulary.tokens]
        self.eot = int(vocabulary.compact[tokenizer.eot])  # text tokens come before it
        self.time_begin = int(vocabulary.compact[tokenizer.timestamp_begin])
        letters = sorted({letter for words in VOCABULARY.values() for word in words for letter in word})
        self.letter_numbers = {letter: i for i, letter in enumerate(letters, start=1)}

    def add_heads(self, model: Whisper) -> None:
        """Give a model the layers that predict letters, text tokens and positions."""
        model.letter_head = nn.Linear(DIMENSIONS.n_audio_state, len(self.letter_numbers) + 1)
        model.piece_head = nn.Linear(DIMENSIONS.n_audio_state, self.eot + 1)
        model.time_head = nn.Linear(DIMENSIONS.n_audio_state, DIMENSIONS.n_audio_state)

    def collate(self, examples: list[SpokenExample], frames: int | None) -> AlignedBatch:
        """Make a batch of `frames` mel frames (None: as many as the longest example needs)."""
        spans = np.array([span for example in examples for span in self._spans(example)])
        frames = frames or batch_frames(examples)
        positions = frames // 2
        said = np.stack([self._said(example, positions) for example in examples], axis=1)
        offsets = self.rng.integers(0, DIMENSIONS.n_audio_ctx - positions + 1, len(examples))
        offsets[self.rng.random(len(examples)) < self.AT_START] = 0
        shifted = [self._shift(example, int(offset)) for example, offset in zip(examples, offsets, strict=True)]
        return AlignedBatch(*make_batch(shifted, frames), *map(mx.array, (*said, spans, offsets[:, None])))

    def collate_encoded(self, examples: list[SpokenExample], frames: int | None) -> EncodedBatch:
        """Make a batch of examples whose audio is encoded."""
        spans = np.array([span for example in examples for span in self._spans(example)])
        return EncodedBatch(*make_batch(examples, DIMENSIONS.n_audio_ctx), mx.array(spans))

    def loss(self, model: Whisper, batch: AlignedBatch) -> mx.array:
        """Return the decoder's loss plus, for each label token, the mean losses of the heads."""
        times = model.encoder._positional_embedding[batch.offsets + mx.arange(batch.mel.shape[1] // 2)]
        middle, features = self._encode(model, batch.mel, times)
        letter = nn.losses.cross_entropy(model.letter_head(middle), batch.letters, reduction="mean")
        top = model.piece_head(features[:, :: self.STEP])
        piece = nn.losses.cross_entropy(top, batch.text_tokens, reduction="mean")
        time = nn.losses.mse_loss(model.time_head(features), times)
        return self.decoder_loss(model, features, batch) + len(batch.labels) * (letter + piece + 4 * time)

    def decoder_loss(self, model: Whisper, features: mx.array, batch: AlignedBatch | EncodedBatch) -> mx.array:
        """Return the sum of the label loss and the attention loss."""
        hidden, scores = model.decoder.hidden(batch.tokens, features, need_weights=True)
        logits = model.decoder.logits(hidden.reshape(-1, hidden.shape[-1])[batch.positions])
        label = nn.losses.cross_entropy(logits, batch.labels, reduction="sum")
        guided = sum(self._missed(scores[layer][:, : self.HEADS], batch) for layer in self.LAYERS) / len(self.LAYERS)
        return label + guided

    @cache  # noqa: B019  there is one aligner a run, and some 600 words
    def _parts(self, word: str) -> tuple[list[int], list[int]]:
        """Return the numbers of a word's letters and of its text tokens."""
        tokens = self.compact[self.tokenizer.encode(" " + word)] + 1
        return [self.letter_numbers[letter] for letter in word], tokens.tolist()

    def _said(self, example: SpokenExample, positions: int) -> np.ndarray:
        """Return the letter and the text token said at every second position, shape (2, positions / 2)."""
        said = np.zeros((2, positions), dtype=np.int32)
        for text, start, end in example.words:
            for row, numbers in zip(said, self._parts(text), strict=True):
                bounds = np.linspace(50 * start, 50 * end, len(numbers) + 1).round().astype(int)
                for number, (first, last) in zip(numbers, pairwise(bounds), strict=True):
                    row[first:last] = number
        return said[:, :: self.STEP]

    def _spans(self, example: SpokenExample) -> list[tuple[int, int]]:
        """Return the first and last position at which each label token is said."""
        spans, word = [], -1
        for token in example.tokens[example.prompt_length :]:
            if token < self.eot:
                word += self.starts_word[token]
                _, start, end = example.words[word]
                spans.append((int(50 * start), int(50 * end)))
            elif token >= self.time_begin:
                time = token - self.time_begin
                spans.append((time, time))
            else:
                spans.append((-1, -1))
        return spans

    def _shift(self, example: SpokenExample, offset: int) -> SpokenExample:
        """Move an example's timestamps `offset` positions later."""
        tokens = tuple(token + offset if token >= self.time_begin else token for token in example.tokens)
        return replace(example, tokens=tokens)

    def _encode(self, model: Whisper, mel: mx.array, times: mx.array) -> tuple[mx.array, mx.array]:
        """Return the encoder's state half way up, at every second position, and its features, for positions embedded
        as `times` (B, P, D)."""
        encoder = model.encoder
        x = gelu(encoder.conv2(gelu(encoder.conv1(mel)))) + times
        half = len(encoder.blocks) // 2
        for block in encoder.blocks[:half]:
            x, _ = block(x)
        middle = mx.fast.layer_norm(x[:, :: self.STEP], None, None, 1e-5)
        for block in encoder.blocks[half:]:
            x, _ = block(x)
        return middle, encoder.ln_post(x)

    def _missed(self, scores: mx.array, batch: AlignedBatch | EncodedBatch) -> mx.array:
        """Return minus the log of the attention that falls on the labels' spans, from scores (B, heads, T, P), summed
        over labels."""
        scores = scores.swapaxes(1, 2).reshape(-1, scores.shape[1], scores.shape[3])[batch.positions]
        place = mx.arange(scores.shape[-1])
        first, last = batch.spans[:, :1] - self.MARGIN, batch.spans[:, 1:] + self.MARGIN
        inside = ((place >= first) & (place <= last))[:, None]
        known = (batch.spans[:, 0] >= 0) & (batch.spans[:, 0] < scores.shape[-1])
        hit = mx.logsumexp(mx.where(inside, scores, -1e9), axis=-1) - mx.logsumexp(scores, axis=-1)
        return -(hit.mean(axis=-1) * known).sum()
