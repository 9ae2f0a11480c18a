"""Clips: recordings, or stretches of them, with their texts."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from mlx_whisper_lora.whisper.audio.load import AudioSource, source_name
from mlx_whisper_lora.whisper.errors import one_line

SPLITS = ("train", "valid", "test")
_MOST_LISTED, _LONGEST_LINE = 10, 400


class DataError(ValueError):
    """Clips that cannot be used; the message names the file and, in a table, the line."""


class BadClipsError(DataError):
    """Several clips that cannot be used. The message has a line for each of the first ten."""

    def __init__(self, errors: Sequence[DataError]):
        heading = f"{len(errors)} clips cannot be used; correct them, or skip them with --skip-bad:"
        super().__init__("\n".join([heading, *list_errors(errors)]))


def check_none_bad(errors: Sequence[DataError]) -> None:
    """Raise the error of a clip that cannot be used, or one for all of them if there are several."""
    if errors:
        raise errors[0] if len(errors) == 1 else BadClipsError(errors)


def list_errors(errors: Sequence[DataError]) -> list[str]:
    """Return a line for each of the first ten errors, and one that counts the others."""
    lines = [f"  {one_line(error)[:_LONGEST_LINE]}" for error in errors[:_MOST_LISTED]]
    left = len(errors) - len(lines)
    return [*lines, f"  and {left} more"] if left else lines


@dataclass(frozen=True)
class Clip:
    """One recording, or a stretch of one, with its text."""

    audio: AudioSource  # a path, the bytes of an audio file, a binary stream, or a part of a data set
    text: str
    language: str | None = None  # a code such as "te"; None if it is not known
    start: float = 0.0  # seconds
    end: float | None = None  # seconds; None for the end of the recording
    speaker: str | None = None  # a name or number; None if it is not known
    origin: str = field(default="", compare=False)  # the table and line that this clip comes from, for messages
    weight: int = 1  # how often an epoch of training has it
    task: str | None = None  # "translate" if the text is a translation into English; None for the task of the run

    @property
    def text_language(self) -> str | None:
        """The code of the language of the text, which is not the one that is spoken if it is a translation."""
        return "en" if self.task == "translate" else self.language

    @property
    def name(self) -> str:
        """The clip's name in messages: "talk.opus", or "talk.opus, 12.50 to 14.20 s"."""
        name = source_name(self.audio)
        if self.end is not None:
            return f"{name}, {self.start:.2f} to {self.end:.2f} s"
        return f"{name}, from {self.start:.2f} s" if self.start else name

    def error(self, problem: str) -> DataError:
        """Return an error that names the table and line of the clip, if it comes from one."""
        return DataError(f"{self.origin}: {problem}" if self.origin else problem)


Splits: TypeAlias = dict[str, list[Clip]]  # the clips of each of SPLITS
