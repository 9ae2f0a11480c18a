"""Inspect a data set before it is trained on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mlx_whisper_lora.data.clip import DataError, Splits
from mlx_whisper_lora.data.inspection.findings import Finding, InspectedClip, find_all
from mlx_whisper_lora.data.inspection.recordings import measure
from mlx_whisper_lora.data.labels import transcript_tokens
from mlx_whisper_lora.data.texts import main_script
from mlx_whisper_lora.whisper.audio.errors import AudioError
from mlx_whisper_lora.whisper.errors import one_line
from mlx_whisper_lora.whisper.terminal import progress_bar
from mlx_whisper_lora.whisper.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class Inspection:
    """The measures of a data set, and the clips that a person should look at."""

    folder: str
    clips: list[InspectedClip]  # those that can be read, in the order train, valid, test
    findings: list[Finding]

    def add(self, findings: Sequence[Finding]) -> "Inspection":
        """Return the inspection with more findings."""
        return replace(self, findings=[*self.findings, *findings])


def inspect_clips(
    folder: str,
    splits: Splits,
    bad: Sequence[DataError],
    tokenizer: Tokenizer,
    language: str | None = None,
) -> Inspection:
    """Measure clips and find those that a person should look at.

    Args:
        folder: The name of the data set.
        splits: Its clips.
        bad: The rows of its tables that cannot be used. They become findings.
        tokenizer: Counts the tokens of texts.
        language: The code of the language of all clips; None takes each clip's own.
    """
    findings = [Finding("bad", one_line(error)) for error in bad]
    inspected: list[InspectedClip] = []
    clips = [(clip, split) for split, found in splits.items() for clip in found]
    for clip, split in progress_bar(clips, desc="Measuring clips", unit="clip"):
        clip = replace(clip, language=language or clip.language)
        label = transcript_tokens(tokenizer, clip.text)
        try:
            audio = measure(clip)
        except (AudioError, OSError) as error:
            findings.append(Finding("bad", one_line(error), clip, split))
            continue
        n_tokens = len(label.tokens) - label.prompt_length - 1
        inspected.append(InspectedClip(clip, split, audio, main_script(clip.text), n_tokens))
    return Inspection(folder, inspected, [*findings, *find_all(inspected)])
