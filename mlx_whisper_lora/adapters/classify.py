"""Name the class of a recording with a model that has a head."""

import itertools
import math
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
        scores = self.window_scores(cut_windows(samples)).mean(axis=0)
        probs = softmax(scores / self.about.temperature).tolist()
        return dict(sorted(zip(self.about.classes, probs, strict=True), key=lambda pair: -pair[1]))

    def window_scores(self, windows: list[np.ndarray]) -> np.ndarray:
        """Return the scores of windows of samples of about the same length, shape (N, C)."""
        mels = [clip_frames(window, self.model.dims.n_mels) for window in windows]
        frames = context_frames(max(map(len, mels)), self.model.audio_context)
        found = []
        for first in range(0, len(mels), _BATCH):
            part = mels[first : first + _BATCH]
            lengths = mx.array([-(-len(mel) // FRAMES_PER_POSITION) or 1 for mel in part])
            features = self.model.encode(mx.array(np.stack([pad_or_trim(mel, frames, axis=0) for mel in part])))
            scores = self.model[CLASSIFIER](self.model, features, lengths)
            check_overflow(self.model, scores)
            found.append(np.array(scores.astype(mx.float32)))
        return np.concatenate(found)


def cut_windows(samples: np.ndarray) -> list[np.ndarray]:
    """Cut samples into windows of the same length, of up to 30 s."""
    count = math.ceil(len(samples) / N_SAMPLES)
    bounds = [round(len(samples) * i / count) for i in range(count + 1)]
    return [samples[low:high] for low, high in itertools.pairwise(bounds)]
