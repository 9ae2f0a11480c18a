"""Measure models without an adapter in windows as short as the clips, beside windows of 30 s.

    python -m tools.real.short_windows base tiny.en/

The clips are the 100 utterances of LibriSpeech in the long English recording. Silence is also left out of short
windows, to show what it is for. Results go to tools/real/short_windows.json. Intervals are those of a bootstrap.
"""

import argparse
import json
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from unittest import mock

from mlx_whisper_lora.training.metrics import word_error_interval
from mlx_whisper_lora.training.run import Run
from mlx_whisper_lora.training.run_options import RunOptions
from mlx_whisper_lora.whisper.audio.constants import CHUNK_LENGTH
from mlx_whisper_lora.whisper.audio.context import AUTO
from mlx_whisper_lora.whisper.model import whisper
from mlx_whisper_lora.whisper.text.normalizers import NORMALIZERS
from mlx_whisper_lora.whisper.transcription.options import TranscriptionOptions
from tools.real.adapt import OUTPUT
from tools.real.recordings import RECORDINGS

RESULTS = Path(__file__).parent / "short_windows.json"
WITHOUT_SILENCE = "auto, without silence"
CONTEXTS = {"30": CHUNK_LENGTH, "auto": AUTO, WITHOUT_SILENCE: AUTO}


def write_utterances(folder: Path) -> Path:
    """Write the table of the utterances, as the clips of a test, into a folder, and return that."""
    folder.mkdir(parents=True, exist_ok=True)
    with (RECORDINGS / "long_recordings" / "metadata.jsonl").open(encoding="utf-8") as file:
        recording = json.loads(file.readline())
    audio = str((RECORDINGS / "long_recordings" / recording["file_name"]).resolve())
    rows = [{"audio": audio, "language": "en", **segment} for segment in recording["segments"]]
    (folder / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def measure(model: str, folder: Path, context: str) -> dict:
    """Transcribe the utterances greedily, without sampling again, and return the WER and the seconds."""
    transcription = TranscriptionOptions(temperature=0.0, audio_context=CONTEXTS[context])
    test = Run(RunOptions(model, str(folder), transcription=transcription), trains=False)
    silence: AbstractContextManager = nullcontext()
    if context == WITHOUT_SILENCE:
        silence = mock.patch.object(whisper, "SILENT_POSITIONS", 0)
    start = time.perf_counter()
    with silence:
        result = test.test()
    references = [example.text for example in test.examples["test"]]
    interval = word_error_interval(references, result.hypotheses, NORMALIZERS[result.normalizer])
    return {
        "model": Path(model).name,
        "context": context,
        "clips": len(references),
        "seconds": round(time.perf_counter() - start, 1),
        "wer": round(result.wer, 2),
        "wer_interval": [round(bound, 2) for bound in interval],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure models without an adapter in short windows.")
    parser.add_argument("models", nargs="+", help="names or folders")
    folder = write_utterances(OUTPUT / "utterances")
    results = []
    for model in parser.parse_args().models:
        for context in CONTEXTS:
            results.append(measure(model, folder, context))
            print(results[-1], flush=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
