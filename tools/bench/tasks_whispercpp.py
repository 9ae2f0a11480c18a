"""The tasks of the benchmark for whisper.cpp, with weights in float16: it ends with a crash on float32."""

import os
from pathlib import Path

from pywhispercpp.model import Model

from tools.bench.inputs import Repeat, Task, read_recording, timed

PACKAGES = ("pywhispercpp",)


def _transcription(file: str) -> Task:
    def task(folder: Path, _: str) -> Repeat:
        samples, language = read_recording(folder, file)
        options = {"language": language, "temperature_inc": 0.0, "greedy": {"best_of": 1}}
        model = Model(str(folder / "ggml" / "ggml-model.bin"), n_threads=os.cpu_count(), print_progress=False)
        return lambda: timed(lambda: model.transcribe(samples, **options))

    return task


TASKS: dict[str, Task] = {"long": _transcription("long"), "short": _transcription("short")}
