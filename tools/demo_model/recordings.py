"""Training data on disk: clips and windows with their log-mels, labels and words, and the encoder's features."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from multiprocessing.pool import ThreadPool
from pathlib import Path

import mlx.core as mx
import numpy as np
from tqdm import tqdm

from mlx_whisper_lora.data.batches import make_batch
from mlx_whisper_lora.data.dataset import Example
from mlx_whisper_lora.data.labels import transcript_tokens, window_tokens
from mlx_whisper_lora.whisper.audio.constants import SAMPLE_RATE
from mlx_whisper_lora.whisper.audio.log_mel import clip_frames
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.text.tokenizer import get_tokenizer
from tools.demo_model.corpus import Item, load_corpus
from tools.demo_model.language import LANGUAGES
from tools.demo_model.vocabulary import DIMENSIONS, Vocabulary
from tools.demo_model.windows import Recording, Words, label_from_sot, make_window, timed_words


@dataclass(frozen=True)
class SpokenExample(Example):
    """An example whose words have times."""

    words: Words


class Recordings(Sequence):
    """The recordings that `record_clips` or `record_windows` wrote."""

    def __init__(self, path: Path, vocabulary: Vocabulary | None, count: int | None = None):
        """Open the recordings.

        Args:
            path: the work folder and the recordings' name.
            vocabulary: give tokens in this compact vocabulary; None: real ones.
            count: number of recordings to take from the first; None: all.
        """
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


class Encoded(Sequence):
    """The examples of a dataset in windows of 30 s, with the encoder's features in place of log-mels."""

    def __init__(self, path: Path, dataset: Sequence[SpokenExample], model: Whisper):
        """Open the features in `path`, or compute them there; all processes share the work."""
        if not path.exists():
            _encode_all(path, dataset, model)
        self.dataset, self.features = dataset, np.load(path, mmap_mode="r")

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> SpokenExample:
        return replace(self.dataset[index], mel=self.features[index])


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


def record_clips(name: str, work: Path) -> None:
    """Write the utterances of a corpus, one a recording, every second one with timestamps."""
    items = load_corpus(work / name)

    def recording(i: int) -> Recording:
        item = items[i]
        tokenizer = get_tokenizer(True, language=item.language)
        if i % 2:
            label = window_tokens(tokenizer, [(0.0, item.length / SAMPLE_RATE, item.text)])
        else:
            label = transcript_tokens(tokenizer, item.text)
        return Recording(item.audio(), label_from_sot(label, tokenizer), timed_words(item))

    _record(work / f"{name}.clips", len(items), recording)


def record_windows(name: str, count: int, seed: int, seconds: float, corpus_name: str, work: Path) -> None:
    """Write windows of several utterances of a corpus, or of none."""
    items: dict[str, list[Item]] = {language: [] for language in LANGUAGES}
    for item in load_corpus(work / corpus_name):
        items[item.language].append(item)
    _record(work / f"{name}.windows", count, lambda i: make_window(i, seed, seconds, items))


def _record(path: Path, count: int, recording: Callable[[int], Recording]) -> None:
    """Write frames, labels and words of `recording(i)` for each i below `count`, unless the files exist."""
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


def _encode_all(path: Path, dataset: Sequence[SpokenExample], model: Whisper) -> None:
    world, part = mx.distributed.init(), path.with_suffix(".part")
    if world.rank() == 0:
        shape = (len(dataset), DIMENSIONS.n_audio_ctx, DIMENSIONS.n_audio_state)
        np.lib.format.open_memmap(part, "w+", np.float16, shape)
    _wait_for_all()
    features = np.load(part, mmap_mode="r+")
    for i in range(world.rank(), len(dataset), world.size()):
        batch = make_batch([dataset[i]], 2 * DIMENSIONS.n_audio_ctx)
        features[i] = np.array(model.encoder(batch.mel)[0])
    features.flush()
    _wait_for_all()
    if world.rank() == 0:
        part.rename(path)
    _wait_for_all()


def _wait_for_all() -> None:
    mx.eval(mx.distributed.all_sum(mx.array(0)))
