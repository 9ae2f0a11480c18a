"""Check the cost of quantization: the word error rate of the demo's fused model in float32, 8 and 4 bits.

    python -m tools.demo && python -m tools.bench.quantization

Every form is written by `convert` and read again. It transcribes the demo's 60 test clips and 300 more of their voice,
because among 60 clips two failures make four points. Exits with 1 if, over all of them, 8 bits cost more than a point
or 4 bits more than three. Needs flite (Debian package of that name), and about ten minutes on two cores.
"""

import random
import sys
import tempfile
from pathlib import Path

import mlx.core as mx

from mlx_whisper_lora.convert import convert
from mlx_whisper_lora.data.dataset import build_examples
from mlx_whisper_lora.data.sources import load_clips
from mlx_whisper_lora.training.evaluation import evaluate
from mlx_whisper_lora.training.metrics import word_error_rate
from mlx_whisper_lora.whisper.assets import DEMO_CLIPS
from mlx_whisper_lora.whisper.checkpoints.load import load_model
from mlx_whisper_lora.whisper.checkpoints.save import ExportOptions
from mlx_whisper_lora.whisper.model.quantization import dequantize
from tools.demo import FUSED, ROOT
from tools.demo_model.clips import write_clips

MORE_CLIPS = 300
ALLOWED = {8: 1.0, 4: 3.0}  # bits -> points of WER


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        bundled = load_clips(DEMO_CLIPS)
        said = {clip.text for clips in bundled.values() for clip in clips}
        write_clips(Path(folder) / "more", "test", MORE_CLIPS, random.Random(99), said)
        sets = bundled["test"], load_clips(Path(folder) / "more")["test"]

        def measured(name: str, form: ExportOptions) -> float:
            """Print a line for each set, and return the WER over all clips."""
            path = f"{folder}/{name}"
            convert(str(ROOT / FUSED), path, form)
            size = Path(f"{path}/weights.safetensors").stat().st_size / 1e6
            model = load_model(path, mx.float32)
            dequantize(model)  # the same numbers; a CPU multiplies them many times faster
            texts, hypotheses = [], []
            for clips in sets:
                dataset, _ = build_examples(clips, model, None, "transcribe")
                result = evaluate(model, dataset)
                print(f"{name}, {size:.1f} MB, {len(clips)} clips: WER {result.wer:.2f} %", flush=True)
                texts += [clip.text for clip in clips]
                hypotheses += result.hypotheses
            return word_error_rate(texts, hypotheses)

        plain = measured("float32", ExportOptions("float32"))
        costs = {bits: measured(f"{bits} bits", ExportOptions(quantize=True, q_bits=bits)) - plain for bits in ALLOWED}
    for bits, cost in costs.items():
        print(f"{bits} bits: {cost:+.2f} points from {plain:.2f} % ({ALLOWED[bits]:g} allowed)")
    sys.exit(0 if all(cost <= ALLOWED[bits] for bits, cost in costs.items()) else 1)


if __name__ == "__main__":
    main()
