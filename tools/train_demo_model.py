"""Make the demo model: a small Whisper, trained from nothing on synthetic speech by the package's own trainer.

    python tools/train_demo_model.py --work build/demo_model

Needs espeak-ng (Debian package of that name) and about 6 GB of disk. About two hours on two cores. The work folder keeps
the corpora, the features and each phase's weights, so that a stopped run goes on where it was.

The model has the real tokenizer, but the world it hears has about 700 kinds of text token. It is therefore trained with
a compact vocabulary: the tokens that occur, the special ones, and one that stands for all others. At the end each of
the others gets that one's embedding, and a last phase trains with the whole vocabulary. Equal rows get equal gradients
and stay equal, and so they cost next to nothing in a compressed file.
"""

import argparse
import json
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import NamedTuple

import mlx.core as mx
import mlx.nn as nn
import numpy as np
from demo_language import LANGUAGES, VOCABULARY
from mlx.utils import tree_flatten
from synthesise import Recipe, corpus, load_corpus, noise, window
from tqdm import tqdm

from mlx_whisper_lora.data.batches import in_order, make_batch
from mlx_whisper_lora.data.examples import Example, clip_frames, transcript_tokens, window_tokens
from mlx_whisper_lora.training.loss import label_loss
from mlx_whisper_lora.training.trainer import TrainingArgs, train
from mlx_whisper_lora.whisper.audio import HOP_LENGTH
from mlx_whisper_lora.whisper.model import ModelDimensions, Whisper, sinusoids
from mlx_whisper_lora.whisper.tokenizer import N_TIMESTAMPS, Tokenizer, get_tokenizer

DIMENSIONS = ModelDimensions(
    n_mels=80, n_audio_ctx=1500, n_audio_state=128, n_audio_head=2, n_audio_layer=4,
    n_vocab=51865, n_text_ctx=448, n_text_state=128, n_text_head=4, n_text_layer=4,
)  # fmt: skip

Label = tuple[tuple[int, ...], int]  # tokens, and how many of them are the prompt

CORPORA = {
    "short": (30_000, Recipe(seed=1, weights=(1, 1, 1))),
    "long": (40_000, Recipe(seed=2, weights=(1, 3, 3, 3, 3, 3, 1, 1, 1, 1))),
    "heldout": (600, Recipe(seed=3, weights=(1,) * 10, held_out=True)),
}




class UnfoldedConv1d(nn.Conv1d):
    """A convolution as one matrix product: on a CPU the gradient of MLX's strided one takes 30 times as long."""

    def __call__(self, x: mx.array) -> mx.array:
        kernel = self.weight.shape[1]
        x = mx.pad(x, [(0, 0), (self.padding, self.padding), (0, 0)])
        length = x.shape[1] - kernel + 1
        taps = mx.concatenate([x[:, k : k + length : self.stride] for k in range(kernel)], axis=-1)
        return taps @ self.weight.reshape(len(self.weight), -1).T + self.bias


class Vocabulary:
    """The compact vocabulary: `tokens` are real ids in order; number len(tokens) stands for all the others."""

    def __init__(self, tokenizer: Tokenizer, texts: Sequence[str]):
        used = {token for text in texts for token in tokenizer.encode(" " + text)}
        used |= {tokenizer.to_language_token(language) for language in LANGUAGES}
        used |= {tokenizer.eot, tokenizer.sot, tokenizer.sot_prev, tokenizer.no_speech, tokenizer.no_timestamps}
        used |= {tokenizer.transcribe}
        used |= set(range(tokenizer.timestamp_begin, tokenizer.timestamp_begin + N_TIMESTAMPS))
        self.tokens = np.array(sorted(used))
        self.compact = np.full(DIMENSIONS.n_vocab, len(self.tokens))
        self.compact[self.tokens] = np.arange(len(self.tokens))

    def shrink(self, example: Example) -> Example:
        return replace(example, tokens=tuple(self.compact[list(example.tokens)].tolist()))

    def new_model(self, seed: int) -> Whisper:
        """A random model with the compact vocabulary."""
        mx.random.seed(seed)
        model = Whisper(replace(DIMENSIONS, n_vocab=len(self.tokens) + 1))
        # He et al. (2015): sound must not drown in the position embedding, whose sines have an amplitude of 1.
        for convolution in (model.encoder.conv1, model.encoder.conv2):
            fan_in = convolution.weight[0].size
            convolution.weight = mx.random.normal(convolution.weight.shape) * (2 / fan_in) ** 0.5
        # Times that are near each other start alike; 1/8 gives rows of length 1, as the others have.
        model.decoder.token_embedding.weight[-1 - N_TIMESTAMPS : -1] = sinusoids(N_TIMESTAMPS, 128) / 8
        unfold_convolutions(model)
        return model

    def expand(self, model: Whisper) -> Whisper:
        """The same model with the whole vocabulary."""
        whole = Whisper(DIMENSIONS)
        weights = dict(tree_flatten(model.parameters()))
        name = "decoder.token_embedding.weight"
        weights[name] = weights[name][mx.array(self.compact)]
        whole.load_weights(list(weights.items()))
        unfold_convolutions(whole)
        return whole


def unfold_convolutions(model: Whisper) -> None:
    model.encoder.conv1.__class__ = UnfoldedConv1d
    model.encoder.conv2.__class__ = UnfoldedConv1d


class Recordings(Sequence):
    """Log-mel frames of many recordings, end to end in one file, and their labels; tokens in the compact vocabulary
    if one is given, else real ones."""

    def __init__(self, path: Path, vocabulary: "Vocabulary | None"):
        self.frames = np.load(path.with_suffix(".frames.npy"), mmap_mode="r")
        index = json.loads(path.with_suffix(".json").read_text())
        self.ends, self.labels, self.vocabulary = index["ends"], index["labels"], vocabulary

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, index: int) -> Example:
        tokens, prompt_length = self.labels[index]
        frames = self.frames[self.ends[index - 1] if index else 0 : self.ends[index]]
        example = Example(frames, tuple(tokens), prompt_length)
        return self.vocabulary.shrink(example) if self.vocabulary else example


def record(path: Path, count: int, recording: Callable[[int], tuple[np.ndarray, Label]]) -> None:
    """Write frames and labels of `recording(i)`, (samples, label), for each i below `count`, unless they are there."""
    if path.with_suffix(".json").exists():
        return

    def frames_and_label(i: int):
        audio, label = recording(i)
        return clip_frames(audio, DIMENSIONS.n_mels), label

    with ThreadPool(2) as pool:
        made = list(tqdm(pool.imap(frames_and_label, range(count), chunksize=8), total=count, desc=path.name, mininterval=5))
    np.save(path.with_suffix(".frames.npy"), np.concatenate([frames for frames, _ in made]))
    ends = np.cumsum([len(frames) for frames, _ in made]).tolist()
    path.with_suffix(".json").write_text(json.dumps({"ends": ends, "labels": [label for _, label in made]}))


def from_sot(label: Label, tokenizer: Tokenizer) -> Label:
    """The label with loss on all that follows the start of transcript: language, task and timestamps are learned too."""
    tokens, _ = label
    return tokens, tokens.index(tokenizer.sot) + 1


def utterance_label(tokenizer: Tokenizer, text: str, samples: int, timestamps: bool):
    if not timestamps:
        return from_sot(transcript_tokens(tokenizer, text), tokenizer)
    return from_sot(window_tokens(tokenizer, [(0.0, samples / 16000, text)]), tokenizer)


def record_clips(name: str, work: Path) -> None:
    """The utterances of a corpus, one a recording, every second one with timestamps."""
    items = load_corpus(work / name)

    def recording(i: int):
        item = items[i]
        tokenizer = get_tokenizer(True, language=item.language)
        return item.audio(), utterance_label(tokenizer, item.text, item.length, timestamps=i % 2 == 1)

    record(work / f"{name}.clips", len(items), recording)


class Joined(Sequence):
    def __init__(self, *datasets: Sequence):
        self.datasets = datasets

    def __len__(self) -> int:
        return sum(map(len, self.datasets))

    def __getitem__(self, index: int):
        for dataset in self.datasets:
            if index < len(dataset):
                return dataset[index]
            index -= len(dataset)
        raise IndexError(index)


def make_window(index: int, seed: int, seconds: float, items: dict[str, list]) -> tuple[np.ndarray, Label]:
    """A window of several utterances, or in one case of ten of none: (samples, label)."""
    chance = random.Random(f"{seed}/{index}")
    rng = np.random.default_rng([seed, index])
    language = chance.choice(LANGUAGES)
    tokenizer = get_tokenizer(True, language=language)
    if chance.random() < 0.1:
        return noise(seconds, rng), no_speech_label(tokenizer, chance)
    # Few utterances leave a long silence at the end, which a padded clip has too.
    count = chance.choice((1, 2, 3, 30, 30, 30))
    chosen = chance.choices(items[language], k=count)
    audio, segments = window([(item.audio(), item.text) for item in chosen], rng, seconds)
    if chance.random() < 0.2 and segments[-1]["end"] is not None:
        text = " ".join(segment["text"] for segment in segments)
        return audio, from_sot(transcript_tokens(tokenizer, text), tokenizer)
    # Decoding forces the first timestamp to be 1.00 at most.
    segments[0]["start"] = min(segments[0]["start"], 1.0)
    previous = " ".join(item.text for item in chance.choices(items[language], k=chance.randint(1, 6)))
    label = window_tokens(
        tokenizer,
        [(segment["start"], segment["end"], segment["text"]) for segment in segments],
        previous=previous if chance.random() < 0.4 else "",
    )
    return audio, from_sot(label, tokenizer)


def no_speech_label(tokenizer: Tokenizer, chance: random.Random) -> Label:
    """<|nospeech|>, or an empty transcript for a decoder that was told to go on."""
    if chance.random() < 0.6:
        return transcript_tokens(tokenizer, "")
    return (*tokenizer.sot_sequence, tokenizer.timestamp(0), tokenizer.eot), len(tokenizer.sot_sequence)


def record_windows(name: str, count: int, seed: int, seconds: float, corpus_name: str, work: Path) -> None:
    """Windows of several utterances of a corpus, or of none."""
    items: dict[str, list] = {language: [] for language in LANGUAGES}
    for item in load_corpus(work / corpus_name):
        items[item.language].append(item)
    record(work / f"{name}.windows", count, lambda i: make_window(i, seed, seconds, items))


class AlignedBatch(NamedTuple):
    """A Batch, and what is said at every second position: (B, P / 2) numbers of letters, 0 for none, -1 for unknown."""

    mel: mx.array
    tokens: mx.array
    positions: mx.array
    labels: mx.array
    said: mx.array


class Aligner:
    """A second loss for the encoder, without which the model takes hours to find out that sound and text go together.

    Each encoder position is asked which letter is being said. When letters are said is guessed: those of an utterance
    are taken to be spread evenly over it.
    """

    STEP = 2  # positions: 40 ms

    def __init__(self, vocabulary: Vocabulary, tokenizer: Tokenizer, weight: float):
        self.weight = weight
        self.tokenizer, self.tokens = tokenizer, vocabulary.tokens
        self.eot = int(vocabulary.compact[tokenizer.eot])  # text tokens come before it
        self.sot = int(vocabulary.compact[tokenizer.sot])
        self.no_timestamps = int(vocabulary.compact[tokenizer.no_timestamps])
        self.time_begin = int(vocabulary.compact[tokenizer.timestamp_begin])
        letters = sorted({letter for words in VOCABULARY.values() for word in words for letter in word})
        self.numbers = {letter: i for i, letter in enumerate(letters, start=1)}

    def add_head(self, model: Whisper) -> None:
        model.aligner = nn.Linear(DIMENSIONS.n_audio_state, len(self.numbers) + 1)

    def said(self, example: Example, positions: int) -> np.ndarray:
        """What is said at every position of an example, shape (positions,)."""
        said = np.zeros(positions, dtype=np.int32)
        label = example.tokens[example.tokens.index(self.sot) :]
        text = [token for token in label if token < self.eot]
        if self.no_timestamps in label:
            if len(example.mel) == 2 * DIMENSIONS.n_audio_ctx:
                return said - 1  # several utterances at unknown times
            self._spread(said, text, 0, len(example.mel) // 2)
            return said
        start, text = 0, []
        for token in label:
            if token < self.eot:
                text.append(token)
            elif token >= self.time_begin:
                if text:
                    self._spread(said, text, start, token - self.time_begin)
                start, text = token - self.time_begin, []
        if len(label) > 3 and label[-2] >= self.time_begin and label[-3] >= self.time_begin:
            said[start:] = -1  # an utterance that the window cuts
        return said

    def _spread(self, said: np.ndarray, text: list[int], start: int, end: int) -> None:
        letters = self.tokenizer.decode(self.tokens[text].tolist()).strip()
        bounds = np.linspace(start, end, len(letters) + 1).round().astype(int)
        for letter, first, last in zip(letters, bounds[:-1], bounds[1:], strict=True):
            said[first:last] = self.numbers.get(letter, 0)

    def collate(self, examples: list[Example], frames: int | None) -> AlignedBatch:
        batch = make_batch(examples, frames)
        said = np.stack([self.said(example, batch.mel.shape[1] // 2)[:: self.STEP] for example in examples])
        return AlignedBatch(*batch, mx.array(said))

    def loss(self, model: Whisper, batch: AlignedBatch) -> mx.array:
        """The label loss, and `weight` times a label's worth of the mean loss over positions."""
        features = model.encoder(batch.mel)
        hidden, _ = model.decoder.hidden(batch.tokens, features)
        logits = model.decoder.logits(hidden.reshape(-1, hidden.shape[-1])[batch.positions])
        label = nn.losses.cross_entropy(logits, batch.labels, reduction="sum")
        known = batch.said >= 0
        each = nn.losses.cross_entropy(model.aligner(features[:, :: self.STEP]), mx.maximum(batch.said, 0))
        return label + self.weight * len(batch.labels) * (each * known).sum() / mx.maximum(known.sum(), 1)
