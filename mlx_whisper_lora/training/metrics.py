"""Word and character error rates."""

from collections.abc import Callable, Sequence

import jiwer

from mlx_whisper_lora.whisper.text.normalizers import Normalizer, normalize_unicode


def word_error_rate(
    references: Sequence[str], hypotheses: Sequence[str], normalizer: Normalizer = normalize_unicode
) -> float:
    """Return the word errors of all pairs of normalized texts together, in per cent of the reference words.

    Substitutions, deletions and insertions are errors.
    """
    return _error_rate(jiwer.process_words, str.split, references, hypotheses, normalizer)


def character_error_rate(
    references: Sequence[str], hypotheses: Sequence[str], normalizer: Normalizer = normalize_unicode
) -> float:
    """Return the character errors of all pairs of normalized texts together, in per cent of the reference characters.

    Spaces between words are characters.
    """
    return _error_rate(jiwer.process_characters, list, references, hypotheses, normalizer)


def _error_rate(
    align: Callable,
    split: Callable[[str], list[str]],
    references: Sequence[str],
    hypotheses: Sequence[str],
    normalizer: Normalizer,
) -> float:
    # The normalizers of openai-whisper leave spaces at the ends, which are not errors.
    texts = zip(references, hypotheses, strict=True)
    pairs = [(normalizer(reference).strip(), normalizer(hypothesis).strip()) for reference, hypothesis in texts]
    # jiwer does not take empty references. All that is heard there is inserted.
    spoken = [pair for pair in pairs if pair[0]]
    inserted = sum(len(split(hypothesis)) for reference, hypothesis in pairs if not reference)
    if not spoken:
        return 100.0 if inserted else 0.0
    counts = align(*map(list, zip(*spoken, strict=True)))
    errors = counts.substitutions + counts.deletions + counts.insertions + inserted
    return 100.0 * errors / (counts.hits + counts.substitutions + counts.deletions)
