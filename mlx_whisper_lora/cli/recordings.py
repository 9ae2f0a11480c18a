"""Transcribing a list of recordings: finding the files, naming the transcripts, and the loop over them."""

import glob
import sys
from collections.abc import Sequence
from pathlib import Path

from mlx_whisper_lora.cli.run import print_error
from mlx_whisper_lora.cli.transcribe_options import PROGRAM, CommandOptions
from mlx_whisper_lora.whisper.audio.errors import AudioError
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.terminal import say
from mlx_whisper_lora.whisper.transcription.long_form import transcribe
from mlx_whisper_lora.whisper.transcription.options import TranscriptionOptions
from mlx_whisper_lora.whisper.transcription.writers import SubtitleLayout, write_result

_STANDARD_INPUT = "-"


def find_recordings(given: Sequence[str]) -> list[str]:
    """Expand patterns into files. Other names are returned unchanged, in order.

    Raises:
        AudioError: a pattern matches no file, or none of the recordings exists.
    """
    recordings = [name for pattern in given for name in _expand(pattern)]
    if recordings and not any(name == _STANDARD_INPUT or Path(name).exists() for name in recordings):
        raise AudioError(f"{recordings[0]}: no such file")
    return recordings


def _expand(pattern: str) -> list[str]:
    """Expand a glob such as clips/*.wav into a sorted list of files. Anything else is returned unchanged."""
    if glob.escape(pattern) == pattern or Path(pattern).exists():
        return [pattern]
    files = sorted(name for name in glob.glob(pattern, recursive=True) if Path(name).is_file())
    if not files:
        raise AudioError(f"{pattern}: no file matches this pattern")
    return files


def transcribe_recordings(
    model: Whisper,
    recordings: Sequence[str],
    options: TranscriptionOptions,
    command: CommandOptions,
    layout: SubtitleLayout,
) -> int:
    """Transcribe recordings and write their transcripts. Report a recording that fails and continue with the next.

    Returns:
        The number of recordings that failed.
    """
    n_failed = 0
    stems = [command.output_name or output_stem(recording) for recording in recordings]
    for recording, stem, name in zip(recordings, stems, unique_names(stems), strict=True):
        if len(recordings) > 1:
            say(f"{recording}:")
        if name != stem:
            say(f"Another recording is called {stem} too: this transcript is called {name}")
        try:
            audio = sys.stdin.buffer if recording == _STANDARD_INPUT else recording
            result = transcribe(model, audio, options, verbose=command.verbose)
            paths = write_result(result, command.output_dir, name, command.output_format, layout)
        except BrokenPipeError:
            raise  # the reader of our output has gone, which is not this recording's fault
        except (AudioError, OSError) as error:
            print_error(PROGRAM, error)
            n_failed += 1
        else:
            say(f"Wrote {', '.join(map(str, paths))}")
    return n_failed


def output_stem(recording: str) -> str:
    """Return the name of a recording's transcript, without suffix."""
    return "content" if recording == _STANDARD_INPUT else Path(recording).stem


def unique_names(stems: Sequence[str]) -> list[str]:
    """Append -2, -3, ... to names that are taken. Case is ignored, as on the file systems of macOS and Windows."""
    taken, names = set(), []
    for stem in stems:
        name, number = stem, 1
        while name.casefold() in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(name.casefold())
        names.append(name)
    return names
