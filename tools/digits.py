"""Train an adapter on real people, and test it: the Free Spoken Digit Dataset (8 kHz recordings of ten English digits).

    python -m tools.digits path/to/fsdd --held-out-speaker jackson

The name of a file ends in the index of its recording, and the dataset's own split tests on indices 0 to 4. With
--held-out-speaker, all recordings of that speaker are for the test, and those of the others for training and
validation. Options of `lora` that are added go to the training, such as --augment light.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

TEST_INDICES = range(5)


def write_splits(source: Path, output: Path, held_out: str | None) -> None:
    """Write train.jsonl, valid.jsonl and test.jsonl, which name the recordings in the dataset's folder.

    Args:
        source: The dataset's folder, with metadata.jsonl.
        output: The folder for the tables.
        held_out: The speaker to test on; None for the dataset's own split.
    """
    rows = [json.loads(line) for line in (source / "metadata.jsonl").read_text(encoding="utf-8").splitlines()]
    splits: dict[str, list[dict]] = {"train": [], "valid": [], "test": []}
    for row in rows:
        index = int(Path(row["file_name"]).stem.split("_")[-1])
        if held_out:
            split = "test" if row["speaker"] == held_out else "valid" if index == 5 else "train"
        else:
            split = "test" if index in TEST_INDICES else "valid" if index == 5 else "train"
        audio = os.path.relpath(source / row["file_name"], output)
        splits[split].append({"audio": audio, "text": row["text"], "language": "en"})
    output.mkdir(parents=True, exist_ok=True)
    for split, clips in splits.items():
        (output / f"{split}.jsonl").write_text("".join(json.dumps(clip) + "\n" for clip in clips), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="Train and test an adapter on spoken digits.")
    parser.add_argument("dataset", type=Path, help="folder of the dataset, with metadata.jsonl")
    parser.add_argument("--held-out-speaker", help="test on this speaker and train on the others")
    parser.add_argument("--model", default="base", help="the base, which is tested before")
    parser.add_argument("--output", type=Path, default=Path("build/digits"))
    args, options = parser.parse_known_args()
    write_splits(args.dataset, args.output, args.held_out_speaker)
    adapter = args.output / "adapters.npz"
    lora = [sys.executable, "-m", "mlx_whisper_lora.lora", "--model", args.model, "--data", str(args.output)]
    for step in (["--test"], ["--train", "--test", "--overwrite", "--adapter-file", str(adapter), *options]):
        if subprocess.run(lora + step).returncode:
            sys.exit(1)


if __name__ == "__main__":
    main()
