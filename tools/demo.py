"""The main job from end to end on the bundled model and clips: test, train, test again, fuse, transcribe.

    python -m tools.demo

Runs the commands that a user would type, shows them, and writes build/demo/report.json.
"""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
OUTPUT = Path("build/demo")
CLIPS = Path("assets/demo_clips")
ADAPTER, FUSED = OUTPUT / "adapters.npz", OUTPUT / "fused_model"


def run(command: str, *options: object) -> str:
    """Run a command of the package, showing it and its output; returns the output. Exits when it fails."""
    arguments = [command, *map(str, options)]
    print(f"\n$ python -m mlx_whisper_lora.{' '.join(arguments)}", flush=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "mlx_whisper_lora", *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        print(line, end="", flush=True)
        lines.append(line)
    if process.wait():
        sys.exit(process.returncode)
    return "".join(lines)


def word_error_rate(output: str) -> float:
    return float(re.findall(r"^Test loss .* WER ([\d.]+) %", output, re.MULTILINE)[-1])


def main() -> None:
    (ROOT / OUTPUT).mkdir(parents=True, exist_ok=True)
    before = word_error_rate(run("lora", "--test"))

    start = time.perf_counter()
    run("lora", "--train", "--lora-layers", -1, "--adapter-file", ADAPTER, *TRAINING)
    seconds = time.perf_counter() - start

    after = word_error_rate(run("lora", "--test", "--adapter-file", ADAPTER))
    run("fuse", "--adapter-file", ADAPTER, "--save-path", FUSED)

    clip = json.loads((ROOT / CLIPS / "test.jsonl").read_text(encoding="utf-8").splitlines()[0])
    recording = CLIPS / clip["audio"]
    run("transcribe", "--model", FUSED, "--audio", recording, "--language", "en", "--output-dir", OUTPUT)
    text = (ROOT / OUTPUT / recording.with_suffix(".txt").name).read_text(encoding="utf-8").strip()

    report = {
        "wer_before": before,
        "wer_after": after,
        "train_seconds": round(seconds, 1),
        "fused_text": text,
        "reference_text": clip["text"],
    }
    (ROOT / OUTPUT / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(f"\nWER before: {before:.2f} %   WER after: {after:.2f} %   training: {seconds:.0f} s")
    print(f"The fused model hears:  {text}\nWhat was said:          {clip['text']}")
    print(f"Report: {OUTPUT / 'report.json'}")


# What 120 seconds on two cores allow. A voice so strange takes adapters on more than query and value.
TRAINING = (
    "--lora-targets", "attn.query,attn.key,attn.value,attn.out,mlp1,mlp2", "--iters", 400, "--batch-size", 12,
    "--learning-rate", 3e-3, "--steps-per-report", 20, "--steps-per-eval", 200,
)  # fmt: skip

if __name__ == "__main__":
    main()
