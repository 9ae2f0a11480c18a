"""One recording, or a stretch of one, with its text."""

from dataclasses import dataclass
from pathlib import Path

SPLITS = ("train", "valid", "test")


class DataError(ValueError):
    """Clips that cannot be used; the message names the file and, in a table, the line."""


@dataclass(frozen=True)
class Clip:
    """One recording with its text; language is a code, or None where the table does not say."""

    audio: Path
    text: str
    language: str | None = None
