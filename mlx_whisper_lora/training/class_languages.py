"""Choose the language tokens that stand for each class, by what the base hears."""

from collections.abc import Sequence

import mlx.core as mx
import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.special import log_softmax

from mlx_whisper_lora.data.batches import batch_frames, batched, pad_mels
from mlx_whisper_lora.data.dataset import Example
from mlx_whisper_lora.whisper.decoding.language import language_logits
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.terminal import progress_bar

_CLIPS, _BATCH = 20, 8  # of a class that are heard, and those that are encoded together


def map_languages(model: Whisper, examples: Sequence[Example], classes: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Return the codes of the languages that stand for each class. Each language stands for one.

    A language goes to the class whose clips make it the most likely, beside those of the other classes (Chen,
    "Model Reprogramming", 2024, calls this frequency-based label mapping). Each class gets at least one.

    Args:
        model: a multilingual base.
        examples: training clips of all classes.
        classes: their names.

    Raises:
        DataError: a clip cannot be decoded.
    """
    heard = [each for name in classes for each in [x for x in examples if x.text == name][:_CLIPS]]
    batches = progress_bar([*batched(heard, _BATCH)], desc="Detecting languages", unit="batch")
    log_probs = np.concatenate([_log_probs(model, batch) for batch in batches])
    means = np.array([log_probs[[each.text == name for each in heard]].mean(axis=0) for name in classes])
    own = means - means.mean(axis=0)  # how much more likely a language is in the clips of a class
    chosen = own.argmax(axis=0)
    for number, language in zip(*linear_sum_assignment(-own), strict=True):
        chosen[language] = number
    codes = model.tokenizer().all_language_codes
    return tuple(
        tuple(code for code, owner in zip(codes, chosen, strict=True) if owner == number)
        for number in range(len(classes))
    )


def _log_probs(model: Whisper, examples: Sequence[Example]) -> np.ndarray:
    """Return the log-probabilities of the languages of windows, shape (B, L)."""
    examples = [each.loaded() for each in examples]
    features = model.encode(pad_mels(examples, batch_frames(examples)))
    return log_softmax(np.array(language_logits(model, features).astype(mx.float32)), axis=1)
