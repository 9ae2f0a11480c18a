"""Transcribing a list of recordings: finding the files, planning the transcripts, and the loop over them."""

import contextlib
import glob
import os
import sys
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlx_whisper_lora.cli.run import describe, print_error
from mlx_whisper_lora.cli.transcribe_options import PROGRAM, CommandOptions
from mlx_whisper_lora.whisper.audio.constants import FRAMES_PER_SECOND
from mlx_whisper_lora.whisper.audio.errors import AudioError
from mlx_whisper_lora.whisper.destinations import check_folder, check_replaceable
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.option import OptionError
from mlx_whisper_lora.whisper.stopping import at_stop
from mlx_whisper_lora.whisper.terminal import say, terminal_text
from mlx_whisper_lora.whisper.transcription.long_form import Transcription, shown_steps
from mlx_whisper_lora.whisper.transcription.options import TranscriptionOptions
from mlx_whisper_lora.whisper.transcription.segments import Segment
from mlx_whisper_lora.whisper.transcription.writers import SubtitleLayout, result_paths, write_result

ModelFor = Callable[[str], tuple[Whisper, TranscriptionOptions]]

_STANDARD_INPUT = "-"
_PARTIAL = ".partial"  # ends the name of a transcript that was interrupted


@dataclass(frozen=True)
class Job:
    """A recording to transcribe, and the files of its transcript."""

    recording: str
    stem: str  # the name that the files would have if no other recording had it
    name: str  # of the files, without suffix
    paths: list[Path]

    @property
    def is_done(self) -> bool:
        """Return whether all files of the transcript exist."""
        return all(path.exists() for path in self.paths)


def find_recordings(given: Sequence[str]) -> list[str]:
    """Expand patterns into files. Other names are returned unchanged, in order, and each file once.

    Raises:
        AudioError: a pattern matches no file, or none of the recordings exists.
    """
    found = [name for pattern in given for name in _expand(pattern)]
    recordings = list({name if name == _STANDARD_INPUT else os.path.abspath(name): name for name in found}.values())
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


def plan_jobs(recordings: Sequence[str], command: CommandOptions, inputs: Iterable[str]) -> list[Job]:
    """Decide where the transcripts of recordings go, and check that they can go there.

    Args:
        recordings: the recordings.
        command: the names and the format of the transcripts.
        inputs: other files, and folders of files, that the command reads: the adapter and the model.

    Raises:
        OptionError: a transcript would replace a recording or another input; or transcripts cannot
            be told apart, so that it is unknown which of them exist.
        OSError: the folder cannot be written, or a transcript has the name of a folder, a device or a pipe.
    """
    stems = [command.output_name or output_stem(recording) for recording in recordings]
    jobs = [
        Job(recording, stem, name, result_paths(command.output_dir, name, command.output_format))
        for recording, stem, name in zip(recordings, stems, unique_names(stems), strict=True)
    ]
    for job in jobs:
        if command.skip_existing and job.name != job.stem:
            raise OptionError(
                f"`skip_existing` requires recordings of different names, and another one than {job.recording} would "
                f"have the transcript {job.stem} too: transcribe it in another command, with another `output_dir`"
            )
    check_folder(command.output_dir)
    kept = _identities([*recordings, *inputs])
    for job in jobs:
        for path in job.paths:
            check_replaceable(path)
            if _identities([path]) & kept:
                raise OptionError(
                    f"the transcript of {job.recording} would replace {path}, which this command reads: give another "
                    "`output_dir`, `output_name` or `output_format`"
                )
    return jobs


def _identities(paths: Iterable[str | Path]) -> set[tuple[int, int]]:
    """Return the device and inode of files, and of the files in folders: equal for all names and links of a file."""
    files = [file for path in map(Path, paths) for file in (path.iterdir() if path.is_dir() else [path])]
    return {(status.st_dev, status.st_ino) for status in (file.stat() for file in files if file.exists())}


def transcribe_jobs(
    model_for: ModelFor,
    jobs: Sequence[Job],
    command: CommandOptions,
    layout: SubtitleLayout,
) -> int:
    """Transcribe recordings and write their transcripts. Report a recording that fails and continue with the next.

    Args:
        model_for: returns the model for a recording, and how to transcribe it.
        jobs: the recordings.
        command, layout: the options of the command.

    Returns:
        The number of recordings that failed. If there were several recordings, the last lines list them.

    Raises:
        KeyboardInterrupt: the user stopped it. The transcript so far is in a file whose name ends in ".partial".
    """
    failures: dict[str, str] = {}  # by recording
    number = 0

    def close(error: BaseException) -> None:
        with contextlib.suppress(OSError):  # nobody may be left to read it
            _list_failures(failures, len(jobs))
            if isinstance(error, KeyboardInterrupt) and len(jobs) > 1:
                say(f"Stopped at {number} of {len(jobs)}: the same command with --skip-existing continues there")

    with at_stop(close):
        for number, job in enumerate(jobs, 1):
            skips = command.skip_existing and job.is_done
            if len(jobs) > 1 or skips:
                remark = f"skipped, because {_listed(job.paths)} is there" if skips else ""
                say(f"{number} of {len(jobs)}: {job.recording} {remark}".rstrip())
            if job.name != job.stem:
                say(f"Another recording is called {job.stem} too: this transcript is called {job.name}")
            if not skips and (failure := _try_job(model_for, job, command, layout)):
                failures[job.recording] = failure
    _list_failures(failures, len(jobs))
    return len(failures)


def _list_failures(failures: dict[str, str], n_jobs: int) -> None:
    """Print the recordings that failed, with the reasons. Of a single one, it is known already."""
    if failures and n_jobs > 1:
        print(f"{len(failures)} of {n_jobs} recordings failed:", file=sys.stderr)
        for recording, failure in failures.items():
            print(terminal_text(f"  {recording}: {failure.removeprefix(f'{recording}: ')}"), file=sys.stderr)


def _try_job(model_for: ModelFor, job: Job, command: CommandOptions, layout: SubtitleLayout) -> str | None:
    """Transcribe a recording. Print and return the error if that fails."""
    try:
        _transcribe_job(*model_for(job.recording), job, command, layout)
    except BrokenPipeError:
        raise  # the reader of our output has gone, which is not this recording's fault
    except (AudioError, OSError, FloatingPointError) as error:
        print_error(PROGRAM, error)
        return describe(error)
    return None


def _transcribe_job(
    model: Whisper, options: TranscriptionOptions, job: Job, command: CommandOptions, layout: SubtitleLayout
) -> None:
    """Transcribe a recording and write its transcript, or if it is stopped, the part of it that is done."""
    audio = sys.stdin.buffer if job.recording == _STANDARD_INPUT else job.recording
    transcription = Transcription(model, audio, options)
    segments: list[Segment] = []
    n_frames = 0
    partial = job.name + _PARTIAL

    def save_part(error: BaseException) -> None:
        if segments and isinstance(error, (KeyboardInterrupt, BrokenPipeError)):  # or the reader of our output has gone
            result = transcription.result(segments)
            paths = write_result(result, command.output_dir, partial, command.output_format, layout)
            done, seconds = n_frames / FRAMES_PER_SECOND, transcription.n_frames / FRAMES_PER_SECOND
            with contextlib.suppress(OSError):  # nobody may be left to read it
                say(f"Interrupted: {done:.0f} of {seconds:.0f} s of {job.recording} are in {_listed(paths)}")

    with at_stop(save_part):
        for step in shown_steps(transcription, command.verbose):
            segments += step.segments
            n_frames += step.n_frames
    result = transcription.result(segments)
    replaced = [path for path in job.paths if path.exists()]
    paths = write_result(result, command.output_dir, job.name, command.output_format, layout)
    for path in result_paths(command.output_dir, partial, command.output_format):
        path.unlink(missing_ok=True)
    if not result["text"].strip():
        say(f"Nothing heard in {job.recording}")
    if replaced:
        say(f"Replaced the old {_listed(replaced)}")
    say(f"Wrote {_listed(paths)}")


def _listed(paths: Iterable[Path]) -> str:
    return ", ".join(map(str, paths))


def output_stem(recording: str) -> str:
    """Return the name of a recording's transcript, without suffix."""
    return "content" if recording == _STANDARD_INPUT else Path(recording).stem


def unique_names(stems: Sequence[str]) -> list[str]:
    """Append -2, -3, ... to names that are taken, by another transcript or by an interrupted one.

    Case and the composition of letters are ignored, as on the file systems of macOS and Windows.
    """
    taken: set[str] = set()
    names = []
    for stem in stems:
        name, number = stem, 1
        while taken & _file_names(name):
            number += 1
            name = f"{stem}-{number}"
        taken |= _file_names(name)
        names.append(name)
    return names


def _file_names(name: str) -> set[str]:
    return {unicodedata.normalize("NFC", each).casefold() for each in (name, name + _PARTIAL)}
