"""Measure how time and memory grow: of a training step, of the start of a run, and of a transcription.

    python -m tools.bench.growth                    # all panels
    python -m tools.bench.growth clips minutes      # some

Each point is measured in a process of its own, on OpenAI's base (the extra `base`). The results go to
tools/bench/growth.json after each point, and tools/bench/plot.py draws them. The exponent of a panel is that of its
last two points: 1 is linear growth.
"""

import argparse
import json
import math
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import mlx.core as mx
import numpy as np
import soundfile

from mlx_whisper_lora.data.batches import iterate_batches, make_batch
from mlx_whisper_lora.data.content import find_duplicates
from mlx_whisper_lora.data.dataset import Example, build_examples
from mlx_whisper_lora.data.sources import load_clips
from mlx_whisper_lora.whisper.assets import DEMO_RECORDING
from mlx_whisper_lora.whisper.audio.constants import SAMPLE_RATE
from mlx_whisper_lora.whisper.checkpoints.load import load_model
from mlx_whisper_lora.whisper.transcription.long_form import transcribe
from mlx_whisper_lora.whisper.transcription.windows import WindowTranscriber
from tools.bench.inputs import random_mels, timed, transcript_tokens
from tools.bench.run import ROOT, setting
from tools.bench.tasks_ours import training
from tools.bench.worker import peak_memory

RESULTS = Path(__file__).parent / "growth.json"
RATE = 8000  # of the long recordings: resampled, as most recordings are
BATCH = 8


class Panel(NamedTuple):
    """A measurement by the size of one thing."""

    title: str
    unit: str
    sizes: tuple[int, ...]
    measure: Callable[[int], float]  # from a size to seconds


def step(**sizes: int) -> float:
    """Return the seconds of a training step on all blocks."""
    return training(**{"layers": -1, **sizes})(Path(), "float32")()


def start(clips: int) -> float:
    """Return the seconds from the table of a data folder to the examples of a run."""
    model = load_model("demo")
    with tempfile.TemporaryDirectory() as folder:
        write_clips(Path(folder), clips)

        def read() -> None:
            splits = load_clips(folder)
            find_duplicates(splits)
            for each in splits.values():
                build_examples(each, model, "en")

        return timed(read)


def write_clips(folder: Path, clips: int) -> None:
    """Write WAV files of 1 to 9 s, and their table. Each has an eighth of a second of noise, and a hole after it."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(1 * SAMPLE_RATE, 9 * SAMPLE_RATE, clips)
    for i, length in enumerate(lengths.tolist()):
        form = struct.pack("<IHHIIHH", 16, 1, 1, SAMPLE_RATE, 2 * SAMPLE_RATE, 2, 16)
        sizes = [struct.pack("<I", size) for size in (36 + 2 * length, 2 * length)]
        header = b"RIFF" + sizes[0] + b"WAVEfmt " + form + b"data" + sizes[1]
        with (folder / f"{i}.wav").open("wb") as file:
            file.write(header + rng.bytes(SAMPLE_RATE // 4))
            file.truncate(len(header) + 2 * length)
    rows = (f"{i}.wav,clip number {i},{'valid' if i % 20 == 0 else 'train'}\n" for i in range(clips))
    (folder / "metadata.csv").write_text("file_name,text,split\n" + "".join(rows))


def read_pass(clips: int) -> float:
    """Return the seconds of one pass over the batches of a data set, without the training."""
    mel, tokens = random_mels(1, 200)[0], tuple(transcript_tokens(8))
    dataset = [Example(mel[: 20 + i % 180], tokens, 3) for i in range(clips)]
    batches = iterate_batches(dataset, BATCH, seed=0)

    def read() -> None:
        for _ in range(clips // BATCH):
            mx.eval(make_batch(next(batches)))

    return timed(read)


def transcription(minutes: int) -> float:
    """Return the seconds of the transcription of a recording, of which only the first window is decoded.

    Every window is read and every result kept as in a transcription. The result of the first stands for the others,
    because decoding takes long, and the same time and memory in each window.
    """
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        write_recording(Path(file.name), minutes)
        return timed(lambda: transcribe_first_window(file.name))


def transcribe_first_window(path: str | Path) -> dict:
    """Transcribe a recording with the bundled model, with the result of its first window in place of all others."""
    decode, decoded = WindowTranscriber.decode, []

    def decode_the_first(reader, windows, prompt):
        for window in windows:
            mx.eval(reader.mel.window(window.seek, window.n_frames))
        if not decoded:
            decoded.append(decode(reader, windows, prompt))
        return decoded[0]

    WindowTranscriber.decode = decode_the_first
    try:
        return transcribe(load_model("demo"), path, language="en")
    finally:
        WindowTranscriber.decode = decode


def write_recording(path: Path, minutes: int) -> None:
    """Write the demo recording over and over, as 16-bit WAV."""
    audio, rate = soundfile.read(DEMO_RECORDING / "recording.opus", dtype="float32")
    audio = audio[:: rate // RATE]
    missing = minutes * 60 * RATE
    with soundfile.SoundFile(path, "w", RATE, 1) as file:
        while missing > 0:
            file.write(audio[:missing])
            missing -= len(audio)


PANELS = {
    "seconds": Panel("A training step", "seconds of a clip", (1, 2, 5, 10, 20, 30), lambda n: step(frames=100 * n)),
    "labels": Panel("A training step", "label tokens of a clip", (7, 14, 28, 56, 112, 224), lambda n: step(labels=n)),
    "batch": Panel("A training step", "clips in the batch", (1, 2, 4, 8, 16), lambda n: step(clips=n)),
    "layers": Panel("A training step", "adapted blocks of 6", (1, 2, 3, 6), lambda n: step(layers=n)),
    "clips": Panel("The start of a run", "clips in the data set", (100, 1000, 10_000, 100_000), start),
    "pass": Panel("A pass without training", "clips in the data set", (100, 1000, 10_000, 50_000, 100_000), read_pass),
    "minutes": Panel("A transcription, one window decoded", "minutes", (1, 10, 60, 300, 600), transcription),
}


def exponent(points: list[dict], name: str) -> float:
    """Return the exponent with which `name` grows from the last but one point to the last."""
    before, last = points[-2:]
    return math.log(last[name] / before[name]) / math.log(last["size"] / before["size"])


def verdict(points: list[dict]) -> str:
    """Return a line on the growth at the last two points."""
    return f"time grows as n^{exponent(points, 'seconds'):.2f}, memory as n^{exponent(points, 'MB'):.2f}"


def measure(name: str, size: int) -> dict:
    """Measure a point in a process of its own."""
    command = [sys.executable, "-m", "tools.bench.growth", name, "--size", str(size)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT).stdout
    return {"size": size, **json.loads(output.splitlines()[-1])}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("panels", nargs="*", default=list(PANELS), metavar="PANEL", help=f"of {', '.join(PANELS)}")
    parser.add_argument("--size", type=int, help="measure this size of one panel in this process, and print it")
    args = parser.parse_args()
    if args.size:
        seconds = PANELS[args.panels[0]].measure(args.size)
        print(json.dumps({"seconds": round(seconds, 4), "MB": peak_memory() // 10**6}))
        return
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in args.panels:
        panel, points = PANELS[name], []
        for size in panel.sizes:
            points.append(measure(name, size))
            print(f"{panel.title}, {size} {panel.unit}: {points[-1]['seconds']} s, {points[-1]['MB']} MB", flush=True)
            results[name] = {**setting(), "title": panel.title, "unit": panel.unit, "points": points}
            RESULTS.write_text(json.dumps(results, indent=1) + "\n")
        print(f"    {verdict(points)}", flush=True)


if __name__ == "__main__":
    main()
