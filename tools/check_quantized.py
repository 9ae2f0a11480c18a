"""Check what quantising costs: word error rates in float32, 8 and 4 bits, of the demo's fused model on its test clips
and of the bundled model on the bundled recording.

    python tools/demo.py && python tools/check_quantized.py

Every form is written by `convert` and read again. Exits with 1 if, in groups of the default size, 8 bits cost more than
a point or 4 bits more than three; the other group sizes are for comparison.
"""

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import mlx.core as mx

from demo import FUSED, ROOT
from mlx_whisper_lora.convert import convert
from mlx_whisper_lora.data.clips import load_clips
from mlx_whisper_lora.data.dataset import load_dataset
from mlx_whisper_lora.export import OutputForm
from mlx_whisper_lora.training.evaluation import evaluate
from mlx_whisper_lora.training.metrics import word_error_rate
from mlx_whisper_lora.whisper.assets import DEMO_CLIPS, DEMO_RECORDING
from mlx_whisper_lora.whisper.checkpoints import load_model
from mlx_whisper_lora.whisper.hub import DEMO
from mlx_whisper_lora.whisper.model import Whisper
from mlx_whisper_lora.whisper.quantization import GROUP_SIZES, Quantization, dequantize
from mlx_whisper_lora.whisper.transcription import transcribe

ALLOWED = {8: 1.0, 4: 3.0}  # bits -> points of WER


def wer_of_clips(model: Whisper) -> float:
    clips, _ = load_dataset(load_clips(DEMO_CLIPS)["test"], model, None, "transcribe")
    return evaluate(model, clips).wer


def wer_of_recording(model: Whisper) -> float:
    spoken = json.loads((DEMO_RECORDING / "reference.json").read_text(encoding="utf-8"))
    result = transcribe(model, DEMO_RECORDING / "recording.opus", temperature=0.0)
    return word_error_rate([spoken["text"]], [result["text"]])


def check(name: str, measure: Callable[[Whisper], float]) -> bool:
    """Print a line a form of the model; whether the default forms lose no more than is allowed."""

    def measured(form: OutputForm) -> tuple[float, float]:
        """Megabytes and WER."""
        with tempfile.TemporaryDirectory() as folder:
            convert(name, f"{folder}/model", form)
            size = Path(f"{folder}/model/weights.safetensors").stat().st_size / 1e6
            model = load_model(f"{folder}/model", mx.float32)
            dequantize(model)  # the same numbers, of which a CPU makes products many times faster
            return size, measure(model)

    size, plain = measured(OutputForm(mx.float32))
    print(f"{name}: float32, {size:.1f} MB, WER {plain:.2f} %", flush=True)
    good = True
    for bits, allowed in ALLOWED.items():
        for group_size in GROUP_SIZES:
            size, wer = measured(OutputForm(mx.float16, Quantization(group_size, bits)))
            print(f"{name}: {bits} bits, groups of {group_size}, {size:.1f} MB, WER {wer:.2f} %, "
                  f"{wer - plain:+.2f} points ({allowed:g} allowed)", flush=True)  # fmt: skip
            good = good and (wer - plain <= allowed or group_size != Quantization.group_size)
    return good


def main() -> None:
    outcomes = [check(DEMO, wer_of_recording), check(str(ROOT / FUSED), wer_of_clips)]
    sys.exit(0 if all(outcomes) else 1)


if __name__ == "__main__":
    main()
