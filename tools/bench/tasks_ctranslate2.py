"""The tasks of the benchmark for faster-whisper, in float32."""

from collections.abc import Callable
from pathlib import Path

from faster_whisper import WhisperModel

from tools.bench.inputs import Repeat, read_recording, timed


def _transcription(file: str) -> Callable[[Path], Repeat]:
    def task(folder: Path) -> Repeat:
        model = WhisperModel(str(folder / "ct2"), device="cpu", compute_type="float32")
        samples, language = read_recording(folder, file)
        options = {"language": language, "temperature": 0.0, "beam_size": 1}
        return lambda: timed(lambda: list(model.transcribe(samples, **options)[0]))

    return task


TASKS = {"long": _transcription("long"), "short": _transcription("short")}
