"""Transcribing a recording with the models of the page, one model after another, window by window."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mlx_whisper_lora.studio_page.models import StudioModels
from mlx_whisper_lora.whisper.audio.constants import FRAMES_PER_SECOND
from mlx_whisper_lora.whisper.audio.errors import AudioError
from mlx_whisper_lora.whisper.audio.load import audio_blocks
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.transcription.long_form import Transcription
from mlx_whisper_lora.whisper.transcription.options import TranscriptionOptions
from mlx_whisper_lora.whisper.transcription.segments import Segment

_SILENT = 1e-4  # of full scale: a microphone that is off or muted gives less


@dataclass(frozen=True)
class Request:
    """A recording, and how to transcribe it."""

    recording: str  # a path
    language: str | None = None  # a code; None to detect it
    task: str = "transcribe"
    strength: float = 1.0  # of the adapter


@dataclass(frozen=True)
class Step:
    """The state of a transcription after a window, or at its end."""

    column: int  # the number of the model
    result: dict  # of `transcribe`, for the part that is done
    done: float  # seconds
    seconds: float  # of the recording
    is_last: bool  # of the model


class Transcriber:
    """Transcribes for all who have the page open, one window at a time.

    Args:
        models: the models.
        options: how to transcribe, if a request does not say otherwise.

    Raises:
        ValueError: the models cannot follow the options.
    """

    def __init__(self, models: StudioModels, options: TranscriptionOptions):
        if options.language is not None or not models.languages:
            options = replace(options, language=models.best.language_code(options.language, options.task))
        self.models, self.options = models, options
        # Whoever stops a transcription does not wait for its window, and the next one may begin meanwhile.
        self._computing = threading.Lock()

    def steps(self, request: Request) -> Iterator[Step]:
        """Transcribe a recording with one model after another.

        Yields:
            The state after each window, and at the end.

        Raises:
            AudioError: the recording cannot be read, or is silent.
            ValueError: a model cannot follow the options.
        """
        check_sound(request.recording)
        with self._computing:
            models = self.models.at_strength(request.strength)
        for column, model in enumerate(models):
            yield from self._model_steps(column, model, request)

    def _model_steps(self, column: int, model: Whisper, request: Request) -> Iterator[Step]:
        # The times of a translation's words are not reliable: its subtitles have those of segments.
        options = replace(
            self.options,
            language=self.models.language_for(model, request.language),
            task=request.task,
            word_timestamps=request.task == "transcribe",
        )
        with self._computing:
            transcription = Transcription(model, request.recording, options)
            windows = transcription.steps()
        segments: list[Segment] = []
        n_frames, is_last = 0, False
        while not is_last:
            with self._computing:
                if window := next(windows, None):
                    segments += window.segments
                    n_frames += window.n_frames
                is_last = window is None
                result = transcription.result(segments)
            yield Step(
                column, result, n_frames / FRAMES_PER_SECOND, transcription.n_frames / FRAMES_PER_SECOND, is_last
            )

    def finish(self, patience: float) -> None:
        """Wait until no window is being computed, at most `patience` seconds, and let none begin."""
        self._computing.acquire(timeout=patience)


def check_sound(recording: str) -> None:
    """Raise AudioError if a recording cannot be read up to its first sound, or has none."""
    if not any(np.abs(block).max(initial=0) >= _SILENT for block in audio_blocks(recording)):
        raise AudioError(f"{Path(recording).name}: the recording is silent; is the microphone on, and the right one?")
