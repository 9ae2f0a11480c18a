"""Heads that say which class a window belongs to, such as a dialect, and the part of an adapter file about them.

The heads on the encoder pool its output over time. The heads on the decoder look at what it says of the language, in
the step after the start of transcript: Whisper learned there what distinguishes languages, and perhaps dialects.
Radhakrishnan et al., "A Parameter-Efficient Learning Approach to Arabic Dialect Identification with Pre-Trained
General-Purpose Speech Model" (2023), sum the probabilities of the language tokens that stand for a class.
"""

from dataclasses import asdict, dataclass
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np

from mlx_whisper_lora.adapters.errors import AdapterError
from mlx_whisper_lora.whisper.decoding.language import language_logits
from mlx_whisper_lora.whisper.model.whisper import Features, Whisper

CLASSIFIER = "classifier"  # the path of the head in a model
HEADS = {
    "attention": "the mean of the encoder's output, weighted by trained attention",
    "mean": "the mean of the encoder's output",
    "language": "the probabilities of the language tokens that stand for the class, nothing of which is trained",
    "mapping": "a trained sum of the scores of all language tokens",
    "tokens": "a new token for each class, in the place of the language",
}
_ON_ENCODER = ("attention", "mean")
_MOST_CLASSES, _LONGEST_CLASS = 10_000, 200


@dataclass(frozen=True)
class Classifier:
    """The classes that an adapter distinguishes, and how."""

    head: str  # a key of HEADS
    classes: tuple[str, ...]
    languages: tuple[tuple[str, ...], ...] = ()  # that stand for each class, by code, if the head is on the decoder
    temperature: float = 1.0  # scores are divided by it, so that the probabilities are true (Guo et al., 2017)

    @property
    def on_encoder(self) -> bool:
        """Whether the head looks at the encoder alone."""
        return self.head in _ON_ENCODER

    def describe(self) -> str:
        """Return the classes for a message: "5 classes: EGY, GLF, LAV and 2 more"."""
        shown = ", ".join(self.classes[:5])
        more = f" and {len(self.classes) - 5} more" if len(self.classes) > 5 else ""
        return f"{len(self.classes)} classes: {shown}{more}"

    def to_json(self) -> dict[str, Any]:
        """Return what `read_classifier` reads."""
        return asdict(self)


def read_classifier(stored: Any) -> Classifier:
    """Read the classifier in the configuration of an adapter file.

    Raises:
        ValueError: it is something else.
    """
    match stored:
        case {
            "head": str(head),
            "classes": list(classes),
            "languages": list(languages),
            "temperature": float(degree),
        } if (
            head in HEADS
            and 2 <= len(classes) <= _MOST_CLASSES
            and all(isinstance(name, str) and 0 < len(name) <= _LONGEST_CLASS for name in classes)
            and len(set(classes)) == len(classes)
            and len(languages) == (0 if head in _ON_ENCODER else len(classes))
            and all(isinstance(codes, list) and all(isinstance(code, str) for code in codes) for codes in languages)
            and 0 < degree < float("inf")
        ):
            return Classifier(head, tuple(classes), tuple(map(tuple, languages)), degree)
    raise ValueError(f"its classifier is {str(stored)[:200]!r}")


def check_transcribes(name: object, classifier: Classifier | None) -> None:
    """Raise AdapterError if an adapter is one for classes, and so does not transcribe."""
    if classifier:
        raise AdapterError(f"{name}: this adapter does not transcribe, it names {classifier.describe()}; use classify")


class Head(nn.Module):
    """A module that gives each window a score for each class. The model has it at the path CLASSIFIER."""

    def __call__(self, model: Whisper, features: Features, lengths: mx.array) -> mx.array:
        """Return the scores of windows, shape (B, C), float32.

        Args:
            model: the model that has encoded the windows.
            features: of the windows.
            lengths: the positions of each window that hold audio, shape (B,).
        """
        raise NotImplementedError


class PooledHead(Head):
    """A linear layer on the mean of the encoder's output.

    Attributes:
        attention: weighs the positions (Safari et al., "Self-attention Encoding and Pooling for Speaker Recognition",
            2020). None weighs all alike.
        linear: gives the scores.
    """

    def __init__(self, n_state: int, n_classes: int, attends: bool):
        super().__init__()
        self.attention = nn.Linear(n_state, 1) if attends else None
        self.linear = nn.Linear(n_state, n_classes)

    def __call__(self, model: Whisper, features: Features, lengths: mx.array) -> mx.array:
        heard = (features[0] if isinstance(features, tuple) else features).astype(mx.float32)
        weights = self.attention(heard)[..., 0] if self.attention else mx.zeros(heard.shape[:2])
        has_audio = mx.arange(heard.shape[1])[None] < lengths[:, None]
        weights = mx.softmax(mx.where(has_audio, weights, -mx.inf), axis=-1)
        return self.linear((weights[..., None] * heard).sum(axis=1))


class LanguageHead(Head):
    """The probabilities of the language tokens that stand for a class. Nothing of it is trained."""

    def __init__(self, groups: np.ndarray):
        super().__init__()
        self._groups = mx.array(groups)  # (C, L), whether a language stands for a class

    def __call__(self, model: Whisper, features: Features, lengths: mx.array) -> mx.array:
        log_probs = nn.log_softmax(language_logits(model, features), axis=-1)
        return mx.logsumexp(mx.where(self._groups, log_probs[:, None], -mx.inf), axis=-1)


class MappedLanguagesHead(Head):
    """A trained linear layer on the log-probabilities of the language tokens, which starts as their mean in a class."""

    def __init__(self, groups: np.ndarray):
        super().__init__()
        self.linear = nn.Linear(groups.shape[1], len(groups))
        self.linear.weight = mx.array(groups / groups.sum(axis=1, keepdims=True))
        self.linear.bias = mx.zeros(len(groups))

    def __call__(self, model: Whisper, features: Features, lengths: mx.array) -> mx.array:
        return self.linear(nn.log_softmax(language_logits(model, features), axis=-1))


class ClassTokensHead(Head):
    """A row for each class beside those of the language tokens, which starts as the mean of the languages of the class.

    Attributes:
        rows: shape (C, D).
    """

    def __init__(self, rows: mx.array):
        super().__init__()
        self.rows = rows

    def __call__(self, model: Whisper, features: Features, lengths: mx.array) -> mx.array:
        hidden, _ = model.decoder.hidden(mx.full((lengths.shape[0], 1), model.tokenizer().sot), features)
        return hidden[:, 0].astype(mx.float32) @ self.rows.T


def make_head(model: Whisper, classifier: Classifier) -> Head:
    """Return a fresh head for a model.

    Raises:
        AdapterError: the model is English-only, and the head looks at language tokens, or it lacks one of them.
    """
    if classifier.on_encoder:
        return PooledHead(model.dims.n_audio_state, len(classifier.classes), classifier.head == "attention")
    if not model.is_multilingual:
        raise AdapterError(f"the head {classifier.head} requires a multilingual model, and this one is English-only")
    tokenizer = model.tokenizer()
    codes = tokenizer.all_language_codes
    if unknown := next((code for group in classifier.languages for code in group if code not in codes), None):
        raise AdapterError(f"the language {unknown!r}, which stands for a class, is not one of the model's")
    groups = np.array([[code in group for code in codes] for group in classifier.languages])
    if classifier.head == "language":
        return LanguageHead(groups)
    if classifier.head == "mapping":
        return MappedLanguagesHead(groups)
    rows = model.decoder.token_embedding(mx.array(tokenizer.all_language_tokens)).astype(mx.float32)
    return ClassTokensHead(mx.array(groups / groups.sum(axis=1, keepdims=True)) @ rows)
