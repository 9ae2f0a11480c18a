"""Explain the class that a classifier names."""

from collections.abc import Sequence

import mlx.core as mx
import mlx.nn as nn
import numpy as np

from mlx_whisper_lora.adapters.classifier import CLASSIFIER
from mlx_whisper_lora.adapters.classify import LoadedClassifier, audio_positions
from mlx_whisper_lora.explanation.explain import Explanation, explain_targets, makers
from mlx_whisper_lora.explanation.options import ATTENTION, METHODS, ExplanationOptions
from mlx_whisper_lora.explanation.targets import Targets, encoder_of
from mlx_whisper_lora.whisper.option import OptionError


def class_targets(classifier: LoadedClassifier, classes: Sequence[str], n_frames: int) -> Targets:
    """Return classes as targets. The score of a class is its log-probability.

    Args:
        classifier: of the classes.
        classes: the names of those to explain.
        n_frames: the length F of the clip.
    """
    model, about = classifier.model, classifier.about
    places = mx.array([about.classes.index(name) for name in classes])
    encode, length = encoder_of(model, n_frames), audio_positions([n_frames])

    def scores(mels: mx.array) -> mx.array:
        lengths = mx.broadcast_to(length, (len(mels),))
        found = model[CLASSIFIER](model, encode(mels), lengths)
        return nn.log_softmax(found / about.temperature, axis=-1)[:, places]

    return Targets(classes, scores)


def explain_classes(classifier: LoadedClassifier, mel: np.ndarray, options: ExplanationOptions) -> Explanation:
    """Explain the class that a classifier names in a clip, or those that `options.words` choose.

    Args:
        classifier: names the class.
        mel: the log-mel of the clip, shape (F, n_mels), of up to 30 s.
        options: what is explained, and how.

    Raises:
        OptionError: there is no such class, or an option is about transcripts.
    """
    known = classifier.about.classes
    if options.text is not None:
        raise OptionError("`text` is about transcripts, and this adapter names classes: leave it out")
    chosen = [name for name in options.methods if name != ATTENTION]
    if options.methods != METHODS and len(chosen) < len(options.methods):
        raise OptionError("`methods`: attention is about transcripts, and this adapter names classes: leave it out")
    if unknown := [name for name in options.words or () if name not in known]:
        raise OptionError(f"`words`: {unknown[0]!r} is not one of the classes {', '.join(known)}")
    (scores,) = np.array(class_targets(classifier, known, len(mel)).scores(mx.array(mel)[None]))
    named = known[int(scores.argmax())]
    targets = class_targets(classifier, [*dict.fromkeys(options.words or [named])], len(mel))
    methods = {name: makers(options)[name] for name in chosen}
    probability = f"{100 * float(np.exp(scores.max())):.1f} %"
    return Explanation(mel, None, [*explain_targets(targets, mel, methods, options.seed)], f"{named} ({probability})")
