"""Measure the peak memory of a transcription of 10 minutes and of one of 3 hours, each in a process of its own.

    python -m tools.bench.memory               # both, of the demo recording over and over
    python -m tools.bench.memory RECORDING     # one, of a recording of yours

Every window is read and every result kept as in a transcription. Only the first is decoded, and its result stands for
the others, because decoding 3 hours takes long and needs the same memory in each window.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import mlx.core as mx
import numpy as np
import soundfile

from mlx_whisper_lora.whisper.assets import DEMO_RECORDING

ROOT = Path(__file__).parents[2]
MINUTES = (10, 180)
RATE = 8000  # resampled, as most recordings are


def write_recording(path: Path, minutes: int) -> None:
    """Write the demo recording over and over, as 16-bit WAV."""
    audio, rate = soundfile.read(DEMO_RECORDING / "recording.opus", dtype="float32")
    audio = audio[:: rate // RATE]
    missing = minutes * 60 * RATE
    with soundfile.SoundFile(path, "w", RATE, 1) as file:
        while missing > 0:
            file.write(audio[:missing])
            missing -= len(audio)


def measured(path: str) -> dict:
    """Transcribe in this process; return peak memory in MB, processor seconds and the number of segments."""
    from mlx_whisper_lora.adapters.loading import load_model
    from mlx_whisper_lora.whisper.transcription.long_form import transcribe
    from mlx_whisper_lora.whisper.transcription.windows import WindowTranscriber

    model, decode, decoded = load_model("demo"), WindowTranscriber.decode, []

    def decode_the_first(reader, windows, prompt):
        for window in windows:
            mx.eval(reader.mel.window(window.seek, window.n_frames))
        if not decoded:
            decoded.append(decode(reader, windows, prompt))
        return decoded[0]

    WindowTranscriber.decode = decode_the_first
    start = time.process_time()
    result = transcribe(model, path, language="en")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {"MB": peak / 1e6, "seconds": time.process_time() - start, "segments": len(result["segments"])}


def measure(path: Path) -> dict:
    """Transcribe in a process of its own; return what `measured` returns there."""
    command = [sys.executable, "-m", "tools.bench.memory", path.absolute()]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT).stdout)


def main() -> None:
    if len(sys.argv) > 1:
        print(json.dumps(measured(sys.argv[1])))
        return
    peaks = []
    for minutes in MINUTES:
        with tempfile.NamedTemporaryFile(suffix=".wav") as file:
            write_recording(Path(file.name), minutes)
            found = measure(Path(file.name))
        peaks.append(found["MB"])
        times = f"{found['seconds']:.1f} processor seconds, {found['segments']} segments"
        print(f"{minutes:4} minutes: peak {found['MB']:.0f} MB, {times}", flush=True)
    print(f"difference: {np.ptp(peaks):.0f} MB")


if __name__ == "__main__":
    main()
