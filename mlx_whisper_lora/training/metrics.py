"""Word and character error rates."""

from collections.abc import Sequence

import jiwer

from mlx_whisper_lora.whisper.text.normalizers import Normalizer, normalize_unicode


def word_error_rate(
    references: Sequence[str], hypotheses: Sequence[str], normalizer: Normalizer = normalize_unicode
) -> float:
    """Word errors (substitutions, deletions, insertions) over all normalised pairs, per cent of reference words."""
    return _error_rate(jiwer.process_words, references, hypotheses, normalizer)


def character_error_rate(
    references: Sequence[str], hypotheses: Sequence[str], normalizer: Normalizer = normalize_unicode
) -> float:
    """The same of characters, spaces counted."""
    return _error_rate(jiwer.process_characters, references, hypotheses, normalizer)


def _error_rate(process, references: Sequence[str], hypotheses: Sequence[str], normalizer: Normalizer) -> float:
    # openai-whisper's normalizers leave spaces at the ends, where they are no characters.
    pairs = [(normalizer(reference).strip(), normalizer(hypothesis).strip())
             for reference, hypothesis in zip(references, hypotheses, strict=True)]  # fmt: skip
    # jiwer takes no empty reference; there, every word given is an insertion.
    spoken = [(reference, hypothesis) for reference, hypothesis in pairs if reference]
    silent = [hypothesis for reference, hypothesis in pairs if not reference]
    unit = process is jiwer.process_words
    inserted = sum(len(hypothesis.split() if unit else hypothesis) for hypothesis in silent)
    if not spoken:
        return 100.0 if inserted else 0.0
    counts = process([reference for reference, _ in spoken], [hypothesis for _, hypothesis in spoken])
    errors = counts.substitutions + counts.deletions + counts.insertions + inserted
    return 100.0 * errors / (counts.hits + counts.substitutions + counts.deletions)
