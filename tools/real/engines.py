"""The packages that tools.real.compare compares, each run in the Python that it is installed in."""

import importlib.metadata
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np  # and nothing else that one of the Pythons may lack

from tools.compare.peers import MLX, OPENAI, OURS

FASTER = "faster-whisper"
BATCHED = f"{OURS} --batch-size 8"
WARM_UP = 16000 * 5  # samples
Engine = Callable[..., str]  # from samples, and a language as a keyword, to a text


def run(name: str, files: Path) -> None:
    """Transcribe the recordings in a folder, and write the texts and times to a JSON file there.

    Args:
        name: a key of ENGINES.
        files: the folder that `tools.real.compare` filled.
    """
    recordings = json.loads((files / "recordings.json").read_text())
    transcribe = ENGINES[name](files)
    transcripts = []
    for i, language in enumerate(recordings):
        samples = np.load(files / f"{i}.npy")
        transcribe(samples[:WARM_UP], language=language)
        start = time.perf_counter()
        text = transcribe(samples, language=language)
        transcripts.append({"text": text, "seconds": round(time.perf_counter() - start, 1)})
        print(f"{name}: recording {i + 1} of {len(recordings)}", flush=True)
    package = name.split()[0]
    title = name if package == OURS else f"{name} {importlib.metadata.version(package)}"
    result = {"title": title, "transcripts": transcripts}
    (files / f"{name}.json").write_text(json.dumps(result, ensure_ascii=False), encoding="utf-8")


def _ours(batch_size: int | None) -> Engine:
    from mlx_whisper_lora.transcribe import transcribe

    options = {"path_or_hf_repo": "base", "temperature": 0.0, "batch_size": batch_size}
    return lambda samples, language: transcribe(samples, language=language, **options)["text"]


def _openai_whisper(folder: Path) -> Engine:
    from tools.references.theirs import base_whisper, transcribe

    model = base_whisper(folder)
    return lambda samples, language: transcribe(model, samples, language=language, temperature=0.0)["text"]


def _mlx_whisper(folder: Path) -> Engine:
    from mlx_whisper import transcribe

    from mlx_whisper_lora.whisper.backends.cpu.blas import use_fast_blas

    use_fast_blas()  # as ours does; with the BLAS of MLX's wheel, it would take ten times as long
    options = {"path_or_hf_repo": str(folder), "temperature": 0.0, "fp16": False}
    return lambda samples, language: transcribe(samples, language=language, **options)["text"]


def _faster_whisper(folder: Path) -> Engine:
    from faster_whisper import WhisperModel

    model = WhisperModel(str(folder), device="cpu", compute_type="float32")

    def transcribe(samples: np.ndarray, language: str) -> str:
        segments, _ = model.transcribe(samples, language=language, temperature=0.0, beam_size=1)
        return "".join(segment.text for segment in segments)

    return transcribe


# Each takes the folder of files, loads the model, and returns a function. All take the most likely token at each step,
# without a fallback, in float32.
ENGINES: dict[str, Callable[[Path], Engine]] = {
    OPENAI: lambda files: _openai_whisper(files / "mlx"),
    OURS: lambda files: _ours(batch_size=None),
    BATCHED: lambda files: _ours(batch_size=8),
    FASTER: lambda files: _faster_whisper(files / "ct2"),
    MLX: lambda files: _mlx_whisper(files / "mlx"),
}
