"""Training for classes, such as dialects or accents."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import mlx.core as mx
import mlx.nn as nn
import numpy as np

from mlx_whisper_lora.adapters.classifier import CLASSIFIER, Classifier
from mlx_whisper_lora.adapters.classify import audio_positions, window_scores
from mlx_whisper_lora.data.batches import batched
from mlx_whisper_lora.data.classes import whole_clips
from mlx_whisper_lora.data.dataset import Example
from mlx_whisper_lora.data.packing import Packer
from mlx_whisper_lora.training.class_evaluation import ClassEvaluation, evaluate_scores
from mlx_whisper_lora.training.distributed import World
from mlx_whisper_lora.training.evaluation import share_work
from mlx_whisper_lora.training.options import TrainingOptions
from mlx_whisper_lora.training.run_options import RunOptions
from mlx_whisper_lora.whisper.model.whisper import Features, Whisper
from mlx_whisper_lora.whisper.terminal import progress_bar

_BATCH = 8  # windows that are encoded together in an evaluation


class ClassBatch(NamedTuple):
    """A batch whose first encoder blocks are computed already."""

    states: mx.array  # (B, P, D), or log-mels if no block is frozen for sure
    silence: mx.array  # features of what follows the window, (1, S, D)
    lengths: mx.array  # (B,), positions that hold audio
    labels: mx.array  # (B,), numbers of classes
    weights: mx.array  # (B,), of the losses


class ClassLoss:
    """The cross-entropy of classes, as `EncoderCache` needs it.

    Args:
        weights: of a clip of each class, by its name. Without one, it is 1.
        label_smoothing: the share of the probability of a class that is spread over all.
    """

    def __init__(self, weights: Mapping[str, float], label_smoothing: float):
        self.weights, self.label_smoothing = weights, label_smoothing

    def batch(self, states: mx.array, silence: mx.array, examples: Sequence[Example]) -> ClassBatch:
        """Return a batch with the classes of examples."""
        weights = mx.array([self.weights.get(example.text, 1.0) for example in examples])
        labels = mx.array([example.tokens[0] for example in examples])
        return ClassBatch(states, silence, audio_positions(len(each.mel) for each in examples), labels, weights)

    def __call__(self, model: Whisper, features: Features, batch: ClassBatch) -> mx.array:
        """Return the sum of the weighted cross-entropies of windows that are encoded already, in nats."""
        scores = model[CLASSIFIER](model, features, batch.lengths)
        losses = nn.losses.cross_entropy(scores, batch.labels, label_smoothing=self.label_smoothing)
        return (batch.weights * losses).sum()


def class_scores(
    model: Whisper, examples: Sequence[Example], description: str | None = None, world: World | None = None
) -> np.ndarray:
    """Return the scores of clips for each class, shape (N, C). Those of a long clip are the means over its windows.

    Args:
        model: a model with a head.
        examples: of clips, which may have several windows.
        description: a title for the progress bar. By default, there is none.
        world: the processes that share the work.

    Raises:
        DataError: a clip cannot be decoded.
        FloatingPointError: the numbers of the model overflow in its type.
    """
    order = sorted(range(len(examples)), key=lambda i: examples[i].n_frames)  # windows of one length share a batch
    batches = list(batched(order, _BATCH))
    hidden = description is None or not (world is None or world.speaks)

    def work(share: list[list[int]]) -> list[list[list[float]]]:
        bar = progress_bar(share, desc=description, disable=hidden)
        return [_scores_of(model, [examples[i] for i in places]).tolist() for places in bar]

    windows = np.concatenate(share_work(work, batches, world))[np.argsort(order)]
    return np.stack([windows[places].mean(axis=0) for places in whole_clips(examples)])


def _scores_of(model: Whisper, examples: Sequence[Example]) -> np.ndarray:
    """Return the scores of windows, shape (N, C)."""
    return window_scores(model, [each.loaded().mel for each in examples])


def evaluate_classes(
    model: Whisper,
    examples: Sequence[Example],
    classifier: Classifier,
    description: str,
    world: World | None = None,
    calibrated: bool = True,
) -> ClassEvaluation:
    """Name the classes of clips, and compare them with their labels.

    Args:
        model: a model with a head.
        examples: of clips, which may have several windows.
        classifier: the classes.
        description: a title for the progress bar.
        world: the processes that share the work.
        calibrated: whether the temperature is that of the classifier. If not, it is fitted to these clips.
    """
    scores = class_scores(model, examples, description, world)
    return _compare(scores, examples, classifier, classifier.temperature if calibrated else None)


def _compare(
    scores: np.ndarray, examples: Sequence[Example], classifier: Classifier, temperature: float | None
) -> ClassEvaluation:
    """Compare the scores of clips (N, C), or those (1, C) of all of them, with the labels of their windows."""
    clips = [[examples[place] for place in places] for places in whole_clips(examples)]
    return evaluate_scores(
        np.broadcast_to(scores, (len(clips), len(classifier.classes))),
        [windows[0].tokens[0] for windows in clips],
        classifier.classes,
        [sum(window.seconds for window in windows) for windows in clips],
        [windows[0].clip.speaker if windows[0].clip else None for windows in clips],
        temperature,
    )


class Classifying:
    """Training for classes.

    Args:
        options, training: of the run.
        world: the processes that share the work.
        classifier: the classes.
        weights: as for `ClassLoss`.
        shares: the share of each class among the training clips, shape (C,).
    """

    def __init__(
        self,
        options: RunOptions,
        training: TrainingOptions,
        world: World,
        classifier: Classifier,
        weights: Mapping[str, float],
        shares: np.ndarray,
    ):
        self.world, self.classifier, self.shares = world, classifier, shares
        self.loss = ClassLoss(weights, training.label_smoothing)

    def evaluate(self, model: Whisper, examples: Sequence[Example], description: str) -> ClassEvaluation:
        """Name the classes of validation clips, and find the temperature with which their probabilities are true."""
        return evaluate_classes(model, examples, self.classifier, description, self.world, calibrated=False)

    def evaluate_base(self, model: Whisper, examples: Sequence[Example], description: str) -> ClassEvaluation:
        """Name the most frequent class of the training clips, because a base knows nothing of the classes."""
        return majority(examples, self.classifier, self.shares)

    def clip_loss(self, model: Whisper, example: Example) -> float:
        """Return the loss of one clip."""
        scores = _scores_of(model, [example])[0]
        return float(np.logaddexp.reduce(scores) - scores[example.tokens[0]])

    def packer(self, model: Whisper, train_set: Sequence[Example]) -> Packer | None:
        """Return None: windows hold one clip."""
        return None


def majority(examples: Sequence[Example], classifier: Classifier, shares: np.ndarray) -> ClassEvaluation:
    """Return the scores of naming the most frequent class, with the shares of all as their probabilities.

    Args:
        examples: of the clips to name.
        classifier: the classes.
        shares: the share of each class among the training clips, shape (C,).
    """
    return _compare(np.log(np.maximum(shares, 1e-9))[None], examples, classifier, temperature=1.0)
