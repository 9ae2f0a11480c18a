"""Run the main job from end to end on the bundled model and clips: test, train, test again, fuse, transcribe.

    python -m tools.demo

The commands are those that a user would type, and are shown. The test clips are transcribed one by one with the fused
model too: the word error rate has to be that of the test. The results go to build/demo/report.json.
"""

import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import soundfile

from mlx_whisper_lora.data.clip import Clip
from mlx_whisper_lora.data.sources import load_clips
from mlx_whisper_lora.training.metrics import word_error_rate
from mlx_whisper_lora.whisper.assets import DEMO_CLIPS
from mlx_whisper_lora.whisper.audio.constants import SAMPLE_RATE
from mlx_whisper_lora.whisper.audio.load import load_audio
from mlx_whisper_lora.whisper.text.normalizers import NORMALIZERS

ROOT = Path(__file__).parent.parent
OUTPUT = Path("build/demo")
SHOWN = 5  # transcripts in the report
ADAPTER, FUSED, RECORDINGS = OUTPUT / "adapters.npz", OUTPUT / "fused_model", OUTPUT / "recordings"

# As many steps as two minutes on two cores allow, and a rate that suits the small model.
TRAINING = {
    "--iters": 600,
    "--batch-size": 6,
    "--learning-rate": 2e-3,
    "--steps-per-report": 50,
    "--steps-per-eval": 600,
    "--full-context-share": 0.07,
    "--pack": 0,
}


def run(command: str, *options: object) -> str:
    """Run a command of the package, show it and its output, and return the output. Exit if it fails."""
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


def read_word_error_rate(output: str) -> float:
    """Find the WER, in per cent, in the output of `lora --test`."""
    return float(re.findall(r"^Test loss .* WER ([\d.]+) %", output, re.MULTILINE)[-1])


def write_recordings(clips: list[Clip]) -> list[Path]:
    """Write each clip to a file of its own."""
    shutil.rmtree(ROOT / RECORDINGS, ignore_errors=True)
    (ROOT / RECORDINGS).mkdir()
    files = [RECORDINGS / f"{i:03d}.wav" for i in range(len(clips))]
    for clip, file in zip(clips, files, strict=True):
        samples = load_audio(clip.audio, start=clip.start, end=clip.end)
        soundfile.write(ROOT / file, samples, SAMPLE_RATE, subtype="FLOAT")
    return files


def transcribe(model: object, files: list[Path]) -> list[str]:
    """Return a model's transcripts of recordings, one by one."""
    options = ("--language", "en", "--verbose", "False", "--output-dir", RECORDINGS)
    run("transcribe", "--model", model, "--audio", *files, *options)
    texts = [(ROOT / file).with_suffix(".txt").read_text(encoding="utf-8") for file in files]
    return [" ".join(text.split()) for text in texts]  # one segment a line


def main() -> None:
    (ROOT / OUTPUT).mkdir(parents=True, exist_ok=True)
    before = read_word_error_rate(run("lora", "--test"))

    start = time.perf_counter()
    options = [part for option in TRAINING.items() for part in option]
    run("lora", "--train", "--adapter-file", ADAPTER, "--overwrite", *options)
    seconds = time.perf_counter() - start

    after = read_word_error_rate(run("lora", "--test", "--adapter-file", ADAPTER))
    run("fuse", "--adapter-file", ADAPTER, "--save-path", FUSED)

    clips = load_clips(DEMO_CLIPS)["test"]
    files = write_recordings(clips)
    untuned = transcribe("demo", files[:SHOWN])
    fused = transcribe(FUSED, files)
    by_transcribe = round(word_error_rate([clip.text for clip in clips], fused, NORMALIZERS["english"]), 2)

    transcripts = [
        {"said": clip.text, "before": untuned_text, "after": fused_text}
        for clip, untuned_text, fused_text in zip(clips, untuned, fused, strict=False)
    ]
    report = {
        "wer_before": before,
        "wer_after": after,
        "wer_by_transcribe": by_transcribe,
        "train_seconds": round(seconds, 1),
        "transcripts": transcripts,
    }
    (ROOT / OUTPUT / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(
        f"\nWER before: {before:.2f} %   WER after: {after:.2f} % by --test, {by_transcribe:.2f} % by transcribe"
        f"   training: {seconds:.0f} s"
    )
    for transcript in transcripts:
        print("\n" + "\n".join(f"{name + ':':8} {text}" for name, text in transcript.items()))
    print(f"\nReport: {OUTPUT / 'report.json'}")


if __name__ == "__main__":
    main()
