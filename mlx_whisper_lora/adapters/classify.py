"""Name the class of a recording with a model that has a head."""

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import mlx.core as mx
import numpy as np
from scipy.special import softmax

from mlx_whisper_lora.adapters.adapter_file import Adapter
from mlx_whisper_lora.adapters.classifier import CLASSIFIER, Classifier
from mlx_whisper_lora.adapters.errors import AdapterError
from mlx_whisper_lora.adapters.strength import load_fused
from mlx_whisper_lora.whisper.audio.constants import FRAMES_PER_POSITION, N_SAMPLES
from mlx_whisper_lora.whisper.audio.context import context_frames
from mlx_whisper_lora.whisper.audio.errors import AudioError
from mlx_whisper_lora.whisper.audio.load import AudioSource, load_audio, pad_or_trim, source_name
from mlx_whisper_lora.whisper.audio.log_mel import clip_frames
from mlx_whisper_lora.whisper.decoding.overflow import check_overflow
from mlx_whisper_lora.whisper.model.whisper import Whisper

_BATCH = 8  # windows that are encoded together


@dataclass(frozen=True)
class LoadedClassifier:
    """A base with the adapter of a classifier."""

    model: Whisper
    about: Classifier

    @staticmethod
    def load(model: Whisper, adapter: Adapter, base_name: str) -> "LoadedClassifier":
        """Put the adapter of a classifier into its base.

        Args:
            model: the base. It is changed.
            adapter: the adapter.
            base_name: the name that the model was loaded by.

        Raises:
            AdapterError: the adapter transcribes, or belongs to another base.
        """
        if adapter.config.classifier is None:
            raise AdapterError(f"{adapter.path}: this adapter transcribes, and names no classes; use transcribe")
        load_fused(model, adapter, base_name)
        return LoadedClassifier(model, adapter.config.classifier)

    def classify(self, audio: AudioSource) -> dict[str, float]:
        """Return the probability of each class for a recording, the most likely first.

        A long recording is cut into windows of up to 30 s, whose scores are averaged.

        Args:
            audio: the recording.

        Raises:
            AudioError: it cannot be read, or is empty.
            FloatingPointError: the numbers of the model overflow in its type.
        """
        samples = load_audio(audio)
        if not len(samples):
            raise AudioError(f"{source_name(audio)}: there is no audio in it")
        mels = [clip_frames(window, self.model.dims.n_mels) for window in cut_windows(samples)]
        scores = window_scores(self.model, mels).mean(axis=0)
        probs = softmax(scores / self.about.temperature).tolist()
        return dict(sorted(zip(self.about.classes, probs, strict=True), key=lambda pair: -pair[1]))


def window_scores(model: Whisper, mels: Sequence[np.ndarray]) -> np.ndarray:
    """Return the scores of windows for each class, shape (N, C). They do not depend on the other windows.

    Args:
        model: a model with a head.
        mels: the log-mels of the windows, each of shape (F, n_mels).

    Raises:
        FloatingPointError: the numbers of the model overflow in its type.
    """
    scores: dict[int, np.ndarray] = {}
    frames = [context_frames(len(mel), model.audio_context) for mel in mels]
    for size in dict.fromkeys(frames):  # windows of one length share a batch
        same = [place for place, each in enumerate(frames) if each == size]
        for first in range(0, len(same), _BATCH):
            places = same[first : first + _BATCH]
            found = _batch_scores(model, [mels[place] for place in places], size)
            scores |= zip(places, found, strict=True)
    return np.stack([scores[place] for place in range(len(mels))])


def _batch_scores(model: Whisper, mels: Sequence[np.ndarray], frames: int) -> np.ndarray:
    windows = mx.array(np.stack([pad_or_trim(mel, frames, axis=0) for mel in mels]).astype(np.float32))
    scores = model[CLASSIFIER](model, model.encode(windows), audio_positions(map(len, mels)))
    check_overflow(model, scores)
    return np.array(scores.astype(mx.float32))


def audio_positions(n_frames: Iterable[int]) -> mx.array:
    """Return how many positions of the encoder hold the audio of windows of so many mel frames, shape (B,)."""
    return mx.array([max(-(-count // FRAMES_PER_POSITION), 1) for count in n_frames])


def cut_windows(samples: np.ndarray) -> list[np.ndarray]:
    """Cut samples into windows of the same length, of up to 30 s."""
    count = math.ceil(len(samples) / N_SAMPLES)
    bounds = [round(len(samples) * i / count) for i in range(count + 1)]
    return [samples[low:high] for low, high in itertools.pairwise(bounds)]
