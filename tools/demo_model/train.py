"""Make the demo model: a small Whisper, trained from nothing on synthetic speech by the package's own trainer.

    python -m tools.demo_model.train --work build/demo_model

Needs espeak-ng (Debian package of that name) and about 8 GB of disk. The work folder keeps the corpora, the features
and each phase's weights, so that a stopped run goes on where it was.

The model has the real tokenizer, but the world it hears has about 700 kinds of text token. It is therefore trained with
a compact vocabulary: the tokens that occur, the special ones, and one that stands for all others. At the end each of
the others gets that one's embedding, and a last phase trains with the whole vocabulary. Equal rows get equal gradients
and stay equal, and so they cost next to nothing in a compressed file.
"""

import argparse
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import pairwise
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import NamedTuple

import mlx.core as mx
import mlx.nn as nn
import numpy as np
from mlx.utils import tree_flatten
from tqdm import tqdm

from mlx_whisper_lora.data.batches import longest_frames, make_batch
from mlx_whisper_lora.data.example import Example
from mlx_whisper_lora.data.features import clip_frames
from mlx_whisper_lora.data.labels import transcript_tokens, window_tokens
from mlx_whisper_lora.training.loop import train
from mlx_whisper_lora.training.loss import loss_from_features
from mlx_whisper_lora.training.options import TrainingOptions
from mlx_whisper_lora.whisper.assets import DEMO_MODEL
from mlx_whisper_lora.whisper.atomic_files import atomic_write
from mlx_whisper_lora.whisper.backends.cpu.kernels import gelu
from mlx_whisper_lora.whisper.model.whisper import ModelDimensions, Whisper, sinusoids
from mlx_whisper_lora.whisper.text.tokenizer import N_TIMESTAMPS, Tokenizer, get_tokenizer
from tools.demo_model.language import LANGUAGES, VOCABULARY
from tools.demo_model.synthesise import SAMPLE_RATE, Item, Recipe, corpus, load_corpus, noise, window

DIMENSIONS = ModelDimensions(
    n_mels=80, n_audio_ctx=1500, n_audio_state=128, n_audio_head=2, n_audio_layer=4,
    n_vocab=51865, n_text_ctx=448, n_text_state=128, n_text_head=4, n_text_layer=4,
)  # fmt: skip

MAX_PROMPT = DIMENSIONS.n_text_ctx // 2 - 1
Label = tuple[tuple[int, ...], int]  # tokens, and how many of them are the prompt
Words = list[tuple[str, float, float]]  # text, start and end in seconds

CORPORA = {
    "short": (30_000, Recipe(seed=1, weights=(1, 1, 1))),
    "long": (60_000, Recipe(seed=2, weights=(1, 3, 3, 3, 3, 3, 1, 1, 1, 1))),
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

    def new_model(self, seed: int) -> Whisper:
        """A random model with the compact vocabulary."""
        mx.random.seed(seed)
        model = Whisper(replace(DIMENSIONS, n_vocab=len(self.tokens) + 1))
        # He et al. (2015): sound must not drown in the position embedding, whose sines have an amplitude of 1.
        for convolution in (model.encoder.conv1, model.encoder.conv2):
            fan_in = convolution.weight[0].size
            convolution.weight = mx.random.normal(convolution.weight.shape) * (2 / fan_in) ** 0.5
        # Times that are near each other start alike; 1/4 gives rows of length 2, as others come to have.
        model.decoder.token_embedding.weight[-1 - N_TIMESTAMPS : -1] = sinusoids(N_TIMESTAMPS, 128) / 4
        unfold_convolutions(model)
        return model

    def expand(self, model: Whisper) -> Whisper:
        """The same model with the whole vocabulary."""
        whole = Whisper(DIMENSIONS)
        weights = dict(tree_flatten(model.parameters()))
        name = "decoder.token_embedding.weight"
        weights[name] = weights[name][mx.array(self.compact)]
        whole.load_weights([(name, weights[name]) for name, _ in tree_flatten(whole.parameters())])
        unfold_convolutions(whole)
        return whole


def unfold_convolutions(model: Whisper) -> None:
    model.encoder.conv1.__class__ = UnfoldedConv1d
    model.encoder.conv2.__class__ = UnfoldedConv1d


@dataclass(frozen=True)
class SpokenExample(Example):
    """An example with what is said when: words are (text, start, end) in seconds."""

    words: list[tuple[str, float, float]]


class Recordings(Sequence):
    """The first `count` of many recordings: log-mel frames end to end in one file, labels and words; tokens in the
    compact vocabulary if one is given, else real ones."""

    def __init__(self, path: Path, vocabulary: Vocabulary | None, count: int | None = None):
        self.frames = np.load(path.with_suffix(".frames.npy"), mmap_mode="r")
        index = json.loads(path.with_suffix(".json").read_text())
        self.ends, self.labels, self.vocabulary = index["ends"][:count], index["labels"], vocabulary

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, index: int) -> SpokenExample:
        tokens, prompt_length, words = self.labels[index]
        frames = self.frames[self.ends[index - 1] if index else 0 : self.ends[index]]
        if self.vocabulary:
            tokens = self.vocabulary.compact[tokens].tolist()
        return SpokenExample(frames, tuple(tokens), prompt_length, words)


def record(path: Path, count: int, recording: Callable[[int], tuple[np.ndarray, Label, Words]]) -> None:
    """Write frames, labels and words of `recording(i)` for each i below `count`, unless they are there."""
    if path.with_suffix(".json").exists():
        return

    def computed(i: int):
        audio, label, words = recording(i)
        return clip_frames(audio, DIMENSIONS.n_mels), (*label, words)

    with ThreadPool(2) as pool:
        work = pool.imap(computed, range(count), chunksize=8)
        made = list(tqdm(work, total=count, desc=path.name, mininterval=5))
    np.save(path.with_suffix(".frames.npy"), np.concatenate([frames for frames, _ in made]))
    ends = np.cumsum([len(frames) for frames, _ in made]).tolist()
    path.with_suffix(".json").write_text(json.dumps({"ends": ends, "labels": [label for _, label in made]}))


def from_sot(label: Label, tokenizer: Tokenizer) -> Label:
    """The label with loss on all that follows the start of transcript: language, task and times are learned too."""
    tokens, _ = label
    return tokens, tokens.index(tokenizer.sot) + 1


def words_of(item: Item, start: float = 0.0) -> Words:
    """An utterance's words and when they are said, the utterance starting at `start` seconds."""
    return [
        (text, start + first, start + last) for text, (first, last) in zip(item.text.split(), item.words, strict=True)
    ]


def record_clips(name: str, work: Path) -> None:
    """The utterances of a corpus, one a recording, every second one with timestamps."""
    items = load_corpus(work / name)

    def recording(i: int) -> tuple[np.ndarray, Label, Words]:
        item = items[i]
        tokenizer = get_tokenizer(True, language=item.language)
        if i % 2:
            label = window_tokens(tokenizer, [(0.0, item.length / SAMPLE_RATE, item.text)])
        else:
            label = transcript_tokens(tokenizer, item.text)
        return item.audio(), from_sot(label, tokenizer), words_of(item)

    record(work / f"{name}.clips", len(items), recording)


def make_window(index: int, seed: int, seconds: float, items: dict[str, list[Item]]) -> tuple[np.ndarray, Label, Words]:
    """A window of several utterances, or in one case of ten of none."""
    chance = random.Random(f"{seed}/{index}")
    rng = np.random.default_rng([seed, index])
    language = chance.choice(LANGUAGES)
    tokenizer = get_tokenizer(True, language=language)
    if chance.random() < 0.1:
        return noise(seconds, rng), no_speech_label(tokenizer, chance), []
    # Few utterances leave a long silence at the end, which a padded clip has too.
    chosen = chance.choices(items[language], k=chance.choice((1, 2, 3, 30, 30, 30)))
    audio, starts = window([item.audio() for item in chosen], rng, seconds)
    chosen = chosen[: len(starts)]
    words = [word for item, start in zip(chosen, starts, strict=True) for word in words_of(item, start)]
    ends = [start + item.length / SAMPLE_RATE for item, start in zip(chosen, starts, strict=True)]
    if chance.random() < 0.2 and ends[-1] <= seconds:
        text = " ".join(item.text for item in chosen)
        return audio, from_sot(transcript_tokens(tokenizer, text), tokenizer), words
    # Decoding forces the first timestamp to be 1.00 at most. An utterance that the window cuts has no end.
    starts[0] = min(starts[0], 1.0)
    segments = [
        (start, end if end <= seconds else None, item.text)
        for item, start, end in zip(chosen, starts, ends, strict=True)
    ]
    previous = previous_tokens(chance, items[language], tokenizer) if chance.random() < 0.5 else []
    label = window_tokens(tokenizer, segments, previous)
    return audio, from_sot(label, tokenizer), words


def previous_tokens(chance: random.Random, items: list[Item], tokenizer: Tokenizer) -> list[int]:
    """What transcription gives as the text before a window: the last tokens of some segments, times and all, or, as a
    user gives it, text."""
    chosen = chance.choices(items, k=chance.choice((1, 2, 4, 8, 16, 30)))
    if chance.random() < 0.2:
        return tokenizer.encode(" " + " ".join(item.text for item in chosen))[-MAX_PROMPT:]
    tokens, time = [], 0.0
    for item in chosen:
        end = time + item.length / SAMPLE_RATE
        if end > 30:
            time, end = 0.0, item.length / SAMPLE_RATE
        label, start = window_tokens(tokenizer, [(time, end, item.text)])
        tokens += label[start:-1]
        time = end + chance.uniform(0.1, 1)
    return tokens[-MAX_PROMPT:]


def no_speech_label(tokenizer: Tokenizer, chance: random.Random) -> Label:
    """<|nospeech|>, or an empty transcript for a decoder that was told to go on."""
    if chance.random() < 0.6:
        return transcript_tokens(tokenizer, "")
    return (*tokenizer.sot_sequence, tokenizer.timestamp(0), tokenizer.eot), len(tokenizer.sot_sequence)


def record_windows(name: str, count: int, seed: int, seconds: float, corpus_name: str, work: Path) -> None:
    """Windows of several utterances of a corpus, or of none."""
    items: dict[str, list[Item]] = {language: [] for language in LANGUAGES}
    for item in load_corpus(work / corpus_name):
        items[item.language].append(item)
    record(work / f"{name}.windows", count, lambda i: make_window(i, seed, seconds, items))


class AlignedBatch(NamedTuple):
    """A Batch, and when what is said: `letters` and `pieces` (B, P / 2), the letter and the text token heard at every
    second position, 0 for none; `spans` (N, 2), the first and last position at which each label is heard, or -1;
    `offsets` (B, 1), the place in a 30 s window of each example's first position."""

    mel: mx.array
    tokens: mx.array
    positions: mx.array
    labels: mx.array
    letters: mx.array
    pieces: mx.array
    spans: mx.array
    offsets: mx.array


class EncodedBatch(NamedTuple):
    """A Batch of encoder features (B, P, D) in the place of log-mels, and the labels' spans as in AlignedBatch."""

    features: mx.array
    tokens: mx.array
    positions: mx.array
    labels: mx.array
    spans: mx.array


class Aligner:
    """A second loss, without which the model takes hours to find out that sound and text go together.

    The synthesiser tells when each word is said. Half way up the encoder its positions are asked which letter is heard,
    and at the top which text token, both being spread evenly over their word, and where they are themselves, which the
    encoder would otherwise forget although timestamps need it. Two heads of each of the decoder's upper
    layers are asked to attend, for each token, to where its word is, or for a timestamp to that time (guided attention:
    Tachibana et al. 2017). And so that short clips teach all 30 s of positions and timestamps, most of them are taken
    to begin somewhere in a window whose rest is not computed.
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
        model.letter_head = nn.Linear(DIMENSIONS.n_audio_state, len(self.letter_numbers) + 1)
        model.piece_head = nn.Linear(DIMENSIONS.n_audio_state, self.eot + 1)
        model.time_head = nn.Linear(DIMENSIONS.n_audio_state, DIMENSIONS.n_audio_state)

    @cache  # noqa: B019  there is one aligner a run, and some 600 words
    def parts(self, word: str) -> tuple[list[int], list[int]]:
        """The numbers of a word's letters and of its text tokens."""
        tokens = self.compact[self.tokenizer.encode(" " + word)] + 1
        return [self.letter_numbers[letter] for letter in word], tokens.tolist()

    def heard(self, example: SpokenExample, positions: int) -> np.ndarray:
        """The letter and the text token heard at every position, shape (2, positions)."""
        heard = np.zeros((2, positions), dtype=np.int32)
        for text, start, end in example.words:
            for row, numbers in zip(heard, self.parts(text), strict=True):
                bounds = np.linspace(50 * start, 50 * end, len(numbers) + 1).round().astype(int)
                for number, (first, last) in zip(numbers, pairwise(bounds), strict=True):
                    row[first:last] = number
        return heard[:, :: self.STEP]

    def spans(self, example: SpokenExample) -> list[tuple[int, int]]:
        """Where each label token is heard."""
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

    def collate(self, examples: list[SpokenExample], frames: int | None) -> AlignedBatch:
        spans = np.array([span for example in examples for span in self.spans(example)])
        frames = frames or longest_frames(examples)
        positions = frames // 2
        heard = np.stack([self.heard(example, positions) for example in examples], axis=1)
        offsets = self.rng.integers(0, DIMENSIONS.n_audio_ctx - positions + 1, len(examples))
        offsets[self.rng.random(len(examples)) < self.AT_START] = 0
        shifted = [self.shift(example, int(offset)) for example, offset in zip(examples, offsets, strict=True)]
        return AlignedBatch(*make_batch(shifted, frames), *map(mx.array, (*heard, spans, offsets[:, None])))

    def collate_encoded(self, examples: list[SpokenExample], frames: int | None) -> EncodedBatch:
        spans = np.array([span for example in examples for span in self.spans(example)])
        return EncodedBatch(*make_batch(examples, DIMENSIONS.n_audio_ctx), mx.array(spans))

    def shift(self, example: SpokenExample, offset: int) -> SpokenExample:
        """The example with timestamps that are `offset` positions later."""
        tokens = tuple(token + offset if token >= self.time_begin else token for token in example.tokens)
        return replace(example, tokens=tokens)

    def loss(self, model: Whisper, batch: AlignedBatch) -> mx.array:
        """The label loss, and for each label token its attention loss and the mean losses of the heads."""
        times = model.encoder._positional_embedding[batch.offsets + mx.arange(batch.mel.shape[1] // 2)]
        middle, features = self.encode(model, batch.mel, times)
        letter = nn.losses.cross_entropy(model.letter_head(middle), batch.letters, reduction="mean")
        piece = nn.losses.cross_entropy(model.piece_head(features[:, :: self.STEP]), batch.pieces, reduction="mean")
        time = nn.losses.mse_loss(model.time_head(features), times)
        return self.decoder_loss(model, features, batch) + len(batch.labels) * (letter + piece + 4 * time)

    def decoder_loss(self, model: Whisper, features: mx.array, batch: AlignedBatch | EncodedBatch) -> mx.array:
        """The label loss and the attention loss."""
        hidden, scores = model.decoder.hidden(batch.tokens, features, need_weights=True)
        logits = model.decoder.logits(hidden.reshape(-1, hidden.shape[-1])[batch.positions])
        label = nn.losses.cross_entropy(logits, batch.labels, reduction="sum")
        guided = sum(self.missed(scores[layer][:, : self.HEADS], batch) for layer in self.LAYERS) / len(self.LAYERS)
        return label + guided

    def encode(self, model: Whisper, mel: mx.array, times: mx.array) -> tuple[mx.array, mx.array]:
        """What the encoder has half way up, at every second position, and its features, for positions embedded as
        `times` (B, P, D)."""
        encoder = model.encoder
        x = gelu(encoder.conv2(gelu(encoder.conv1(mel)))) + times
        half = len(encoder.blocks) // 2
        for block in encoder.blocks[:half]:
            x, _ = block(x)
        middle = mx.fast.layer_norm(x[:, :: self.STEP], None, None, 1e-5)
        for block in encoder.blocks[half:]:
            x, _ = block(x)
        return middle, encoder.ln_post(x)

    def missed(self, scores: mx.array, batch: AlignedBatch | EncodedBatch) -> mx.array:
        """Minus the log of the attention (from scores (B, heads, T, P)) that falls where labels are heard, summed."""
        scores = scores.swapaxes(1, 2).reshape(-1, scores.shape[1], scores.shape[3])[batch.positions]
        place = mx.arange(scores.shape[-1])
        first, last = batch.spans[:, :1] - self.MARGIN, batch.spans[:, 1:] + self.MARGIN
        inside = ((place >= first) & (place <= last))[:, None]
        known = (batch.spans[:, 0] >= 0) & (batch.spans[:, 0] < scores.shape[-1])
        hit = mx.logsumexp(mx.where(inside, scores, -1e9), axis=-1) - mx.logsumexp(scores, axis=-1)
        return -(hit.mean(axis=-1) * known).sum()


class Encoded(Sequence):
    """The examples of a dataset in windows of 30 s, their log-mels replaced by what the model's encoder makes of them,
    which is computed by all processes, each its part, and kept in `path`."""

    def __init__(self, path: Path, dataset: Sequence[SpokenExample], model: Whisper):
        if not path.exists():
            encode_all(path, dataset, model)
        self.dataset, self.features = dataset, np.load(path, mmap_mode="r")

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> SpokenExample:
        return replace(self.dataset[index], mel=self.features[index])


def encode_all(path: Path, dataset: Sequence[SpokenExample], model: Whisper) -> None:
    world, part = mx.distributed.init(), path.with_suffix(".part")
    if world.rank() == 0:
        shape = (len(dataset), DIMENSIONS.n_audio_ctx, DIMENSIONS.n_audio_state)
        np.lib.format.open_memmap(part, "w+", np.float16, shape)
    wait_for_all()
    features = np.load(part, mmap_mode="r+")
    for i in range(world.rank(), len(dataset), world.size()):
        batch = make_batch([dataset[i]], 2 * DIMENSIONS.n_audio_ctx)
        features[i] = np.array(model.encoder(batch.mel)[0])
    features.flush()
    wait_for_all()
    if world.rank() == 0:
        part.rename(path)
    wait_for_all()


def wait_for_all() -> None:
    mx.eval(mx.distributed.all_sum(mx.array(0)))


class Joined(Sequence):
    """Several datasets as one."""

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


# From one word to windows of many: each phase starts where the one before it ended.
@dataclass(frozen=True)
class Phase:
    name: str
    recordings: dict[str, int]  # how many of each kind
    iters: int
    batch_size: int
    learning_rate: float
    aligned: bool = True
    audio_context: float = 0
    encoded: str | None = None  # train the decoder alone; the features' name, for phases with one encoder


PHASES = (
    Phase("words", {"short.clips": 30_000}, 800, 32, 2e-3),
    Phase("utterances", {"short.clips": 15_000, "long.clips": 60_000}, 4000, 32, 2e-3),
    Phase("medium", {"long.clips": 6000, "medium.windows": 3000}, 400, 16, 1e-3),
    Phase("full", {"long.clips": 3000, "medium.windows": 1000, "full.windows": 1500}, 500, 12, 1e-3),
    # The aligner has done its work: the labels get the whole of the model.
    Phase("labels", {"long.clips": 60_000}, 1900, 32, 1e-3, aligned=False),
    Phase("windows", {"long.clips": 1500, "medium.windows": 3000, "full.windows": 1500}, 200, 12, 4e-4, aligned=False),
    # Finding the way through a window is the decoder's work, and its steps are cheap once the sound is encoded.
    Phase("decoder", {"long.clips": 500, "full.windows": 4500}, 1000, 16, 1e-3, encoded="windows"),
    Phase("tracking", {"long.clips": 500, "full.windows": 4500}, 1500, 16, 1e-3, aligned=False, encoded="windows"),
    Phase("both", {"long.clips": 12_000, "full.windows": 6000}, 1000, 12, 1e-3, aligned=False),
    # A clip in a window is mostly silence, which a model that saw clips alone takes for much less than it is.
    Phase("padded", {"long.clips": 6000, "full.windows": 6000}, 440, 12, 5e-4, aligned=False, audio_context=30),
    # What transcription gives as the text before a window has times in it, and may be long.
    Phase("prompted", {"long.clips": 300, "prompted.windows": 2000}, 300, 12, 1e-3, aligned=False, encoded="padded"),
)
WHOLE_VOCABULARY = Phase("whole", {"long.clips": 1000, "prompted.windows": 500}, 40, 12, 2e-4, aligned=False)


def prepare(work: Path) -> None:
    """Synthesise the corpora and compute all features."""
    for name, (count, recipe) in CORPORA.items():
        if not (work / name / "index.jsonl").exists():
            corpus(work / name, count, recipe)
        record_clips(name, work)
    record_windows("medium", 3000, 11, 12.0, "long", work)
    record_windows("full", 6000, 12, 30.0, "long", work)
    record_windows("prompted", 2000, 14, 30.0, "long", work)
    record_windows("unheard", 100, 13, 30.0, "heldout", work)


def run_phase(
    model: Whisper, phase: Phase, work: Path, vocabulary: Vocabulary | None, aligner: Aligner, seed: int
) -> None:
    """Train for one phase, or load its result if there is one."""
    path = work / f"{phase.name}.safetensors"
    if path.exists():
        model.load_weights(str(path))
        return
    dataset = Joined(*(Recordings(work / name, vocabulary, count) for name, count in phase.recordings.items()))
    args = TrainingOptions(
        iters=phase.iters, batch_size=phase.batch_size, learning_rate=phase.learning_rate, warmup=50,
        steps_per_report=50, steps_per_eval=100, audio_context=phase.audio_context, seed=seed,
    )  # fmt: skip
    print(f"Phase {phase.name}: {phase.iters} steps of {phase.batch_size}", flush=True)
    hooks = {"collate": aligner.collate, "loss_function": aligner.loss} if phase.aligned else {}
    if phase.encoded:
        model.freeze()
        model.decoder.unfreeze()
        dataset = Encoded(work / f"{phase.encoded}.encoded.npy", dataset, model)
        loss = aligner.decoder_loss if phase.aligned else loss_from_features
        hooks = {"collate": aligner.collate_encoded, "loss_function": lambda m, b: loss(m, b.features, b)}
    clips, windows = (Recordings(work / name, vocabulary) for name in ("heldout.clips", "unheard.windows"))
    held_out = {"clips": [clips[i] for i in range(100)], "windows": [windows[i] for i in range(24)]}
    train(
        model, dataset, args, lambda _: print_accuracy(model, held_out), partial(print, flush=True), **hooks
    )  # fmt: skip
    model.unfreeze()
    if mx.distributed.init().rank() == 0:
        mx.save_safetensors(str(path), dict(tree_flatten(model.parameters())))


def print_accuracy(model: Whisper, held_out: dict[str, list[SpokenExample]]) -> None:
    """How many label tokens of never-heard voices are right, those before them being given."""
    for name, examples in held_out.items():
        batch = make_batch(examples)
        hidden, _ = model.decoder.hidden(batch.tokens, model.encoder(batch.mel))
        logits = model.decoder.logits(hidden.reshape(-1, hidden.shape[-1])[batch.positions])
        loss = nn.losses.cross_entropy(logits, batch.labels, reduction="mean").item()
        right = (logits.argmax(axis=-1) == batch.labels).mean().item()
        print(f"    held-out {name}: loss {loss:.3f}, {100 * right:.1f} % of tokens right", flush=True)


def train_all(work: Path) -> None:
    tokenizer = get_tokenizer(True)
    texts = [item.text for name in CORPORA for item in load_corpus(work / name)]
    vocabulary = Vocabulary(tokenizer, texts)
    model = vocabulary.new_model(seed=0)
    aligner = Aligner(vocabulary, tokenizer)
    aligner.add_heads(model)
    mx.eval(model.parameters())
    for seed, phase in enumerate(PHASES, start=1):
        run_phase(model, phase, work, vocabulary, aligner, seed)
    whole = vocabulary.expand(model)
    run_phase(whole, WHOLE_VOCABULARY, work, None, aligner, seed=9)
    if mx.distributed.init().rank() == 0:
        save(whole)


def save(model: Whisper) -> None:
    """Write the bundled model: float16 in a compressed .npz, in which equal embedding rows take next to no room."""
    DEMO_MODEL.mkdir(parents=True, exist_ok=True)
    arrays = {name: np.array(array.astype(mx.float16)) for name, array in tree_flatten(model.parameters())}
    with atomic_write(DEMO_MODEL / "weights.npz", "wb") as file:
        np.savez_compressed(file, **arrays)
    with atomic_write(DEMO_MODEL / "config.json") as file:
        json.dump({"model_type": "whisper", **DIMENSIONS.to_dict()}, file, indent=2)


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the demo model.")
    parser.add_argument("--work", type=Path, default=Path("build/demo_model"), help="folder for all that is in between")
    parser.add_argument("--processes", type=int, default=2, help="processes that share each step")
    args = parser.parse_args()
    if "MLX_RANK" in os.environ:  # one of the processes started below
        train_all(args.work)
        return
    args.work.mkdir(parents=True, exist_ok=True)
    prepare(args.work)
    hosts = args.work / "hosts.json"
    hosts.write_text(json.dumps([[f"127.0.0.1:{41000 + rank}"] for rank in range(args.processes)]))
    command = [sys.executable, "-m", "tools.demo_model.train", "--work", str(args.work)]
    environment = {**os.environ, "MLX_HOSTFILE": str(hosts)}
    processes = [
        subprocess.Popen(command, env={**environment, "MLX_RANK": str(rank)}) for rank in range(args.processes)
    ]
    sys.exit(max(process.wait() for process in processes))


if __name__ == "__main__":
    main()
