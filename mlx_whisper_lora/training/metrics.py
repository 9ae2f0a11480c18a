"""Word and character error rates."""

import unicodedata
from collections.abc import Sequence

import jiwer


def normalize(text: str) -> str:
    """Lower case, compatibility forms composed, punctuation and symbols turned to spaces, single spaces.

    Marks stay: in Telugu, Hindi or Arabic they are vowels. (openai-whisper's basic normaliser removes them.)
    """
    folded = unicodedata.normalize("NFKC", text).lower()
    kept = (" " if unicodedata.category(character)[0] in "PS" else character for character in folded)
    return " ".join("".join(kept).split())


def word_error_rate(references: Sequence[str], hypotheses: Sequence[str]) -> float:
    """Word errors (substitutions, deletions, insertions) over all normalised pairs, per cent of reference words."""
    return _error_rate(jiwer.process_words, references, hypotheses)


def character_error_rate(references: Sequence[str], hypotheses: Sequence[str]) -> float:
    """The same of characters, spaces counted."""
    return _error_rate(jiwer.process_characters, references, hypotheses)


def _error_rate(process, references: Sequence[str], hypotheses: Sequence[str]) -> float:
    pairs = list(zip(map(normalize, references), map(normalize, hypotheses), strict=True))
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
