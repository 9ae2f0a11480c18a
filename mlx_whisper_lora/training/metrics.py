"""Word and character error rates, and how far they are to be trusted."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jiwer
import numpy as np

from mlx_whisper_lora.whisper.text.normalizers import Normalizer, normalize_unicode

RESAMPLES = 2000  # of the bootstrap


class Interval(NamedTuple):
    """A 95 % interval."""

    low: float
    high: float


def word_error_rate(
    references: Sequence[str], hypotheses: Sequence[str], normalizer: Normalizer = normalize_unicode
) -> float:
    """Return the word errors of all pairs of normalized texts together, in per cent of the reference words.

    Substitutions, deletions and insertions are errors.
    """
    return _count_words(_normalized(references, hypotheses, normalizer)).rate


def character_error_rate(
    references: Sequence[str], hypotheses: Sequence[str], normalizer: Normalizer = normalize_unicode
) -> float:
    """Return the character errors of all pairs of normalized texts together, in per cent of the reference characters.

    Spaces between words are characters.
    """
    return _count_characters(_normalized(references, hypotheses, normalizer)).rate


def word_error_interval(
    references: Sequence[str], hypotheses: Sequence[str], normalizer: Normalizer = normalize_unicode
) -> Interval:
    """Return the interval of `word_error_rate`, in per cent, by a bootstrap over the pairs."""
    return _error_interval(_count_words, _normalized(references, hypotheses, normalizer))


def character_error_interval(
    references: Sequence[str], hypotheses: Sequence[str], normalizer: Normalizer = normalize_unicode
) -> Interval:
    """Return the interval of `character_error_rate`, in per cent, by a bootstrap over the pairs."""
    return _error_interval(_count_characters, _normalized(references, hypotheses, normalizer))


def ratio_interval(totals: Sequence[float], sizes: Sequence[float]) -> Interval:
    """Return the interval of `sum(totals) / sum(sizes)`, by a bootstrap over clips.

    Args:
        totals: a sum of each clip, such as its loss.
        sizes: the number of parts of each clip, such as its tokens. At least one has some.
    """
    random, both = np.random.default_rng(0), np.array([totals, sizes], np.float64)
    draws = (random.integers(0, len(sizes), len(sizes)) for _ in range(RESAMPLES))
    total, size = np.array([both[:, draw].sum(axis=1) for draw in draws]).T
    low, high = np.percentile(total[size > 0] / size[size > 0], [2.5, 97.5])
    return Interval(float(low), float(high))


class _Errors(NamedTuple):
    """Errors in a number of reference words or characters."""

    number: int
    size: int

    @property
    def rate(self) -> float:
        """The errors in per cent. Without a reference, any error counts as if everything was wrong."""
        return 100.0 * self.number / self.size if self.size else 100.0 if self.number else 0.0


_Pairs = list[tuple[str, str]]  # references and hypotheses


def _normalized(references: Sequence[str], hypotheses: Sequence[str], normalizer: Normalizer) -> _Pairs:
    # The normalizers of openai-whisper leave spaces at the ends, which are not errors.
    pairs = zip(references, hypotheses, strict=True)
    return [(normalizer(reference).strip(), normalizer(hypothesis).strip()) for reference, hypothesis in pairs]


def _count_words(pairs: _Pairs) -> _Errors:
    return _count(jiwer.process_words, str.split, pairs)


def _count_characters(pairs: _Pairs) -> _Errors:
    return _count(jiwer.process_characters, list, pairs)


def _count(align: Callable, split: Callable[[str], list[str]], pairs: _Pairs) -> _Errors:
    # jiwer does not take empty references. All that is heard there is inserted.
    spoken = [pair for pair in pairs if pair[0]]
    inserted = sum(len(split(hypothesis)) for reference, hypothesis in pairs if not reference)
    if not spoken:
        return _Errors(inserted, 0)
    found = align(*map(list, zip(*spoken, strict=True)))
    errors = found.substitutions + found.deletions + found.insertions + inserted
    return _Errors(errors, found.hits + found.substitutions + found.deletions)


def _error_interval(count: Callable[[_Pairs], _Errors], pairs: _Pairs) -> Interval:
    each = [count([pair]) for pair in pairs]
    if not any(errors.size for errors in each):
        return Interval(*[count(pairs).rate] * 2)
    return ratio_interval([100.0 * errors.number for errors in each], [errors.size for errors in each])
