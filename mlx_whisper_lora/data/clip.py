"""Clips: recordings, or stretches of them, with their texts."""

from dataclasses import dataclass, field
from typing import TypeAlias

from mlx_whisper_lora.whisper.audio.load import AudioSource, source_name

SPLITS = ("train", "valid", "test")


class DataError(ValueError):
    """Clips that cannot be used; the message names the file and, in a table, the line."""


@dataclass(frozen=True)
class Clip:
    """One recording, or a stretch of one, with its text."""

    audio: AudioSource  # a path, the bytes of an audio file, or a binary stream
    text: str
    language: str | None = None  # a code such as "te"; None if it is not known
    start: float = 0.0  # seconds
    end: float | None = None  # seconds; None for the end of the recording
    speaker: str | None = None  # a name or number; None if it is not known
    origin: str = field(default="", compare=False)  # the table and line that this clip comes from, for messages

    @property
    def name(self) -> str:
        """The clip's name in messages: "talk.opus", or "talk.opus, 12.50 to 14.20 s"."""
        name = source_name(self.audio)
        if self.end is not None:
            return f"{name}, {self.start:.2f} to {self.end:.2f} s"
        return f"{name}, from {self.start:.2f} s" if self.start else name


Splits: TypeAlias = dict[str, list[Clip]]  # the clips of each of SPLITS
