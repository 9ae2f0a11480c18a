"""The tasks of the benchmark for this package. Each loads what it needs and returns a function that returns seconds."""

from collections.abc import Callable
from pathlib import Path

import mlx.core as mx
import numpy as np

from mlx_whisper_lora.adapters.inject import add_adapter
from mlx_whisper_lora.adapters.lora import LoRAConfig
from mlx_whisper_lora.data.dataset import Example
from mlx_whisper_lora.training.callbacks import Callback, StepReport
from mlx_whisper_lora.training.loop import train
from mlx_whisper_lora.training.options import TrainingOptions
from mlx_whisper_lora.whisper.checkpoints.load import load_model
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.transcription.long_form import transcribe
from tools.bench.inputs import Repeat, random_mels, read_recording, timed

STEPS = 3  # of training in a repetition, after one that does not count
TARGETS = ("attn.query", "attn.value", "cross_attn.query", "cross_attn.value")


def base() -> Whisper:
    """Return OpenAI's base in float32."""
    model = load_model("base", mx.float32)
    mx.eval(model.parameters())
    return model


class _Times(Callback):
    def __init__(self) -> None:
        self.seconds: list[float] = []

    def step(self, report: StepReport) -> None:
        self.seconds.append(1 / report.steps_per_second)


def _training(context: float, frames: int = 500, clips: int = 4, labels: int = 24, layers: int = 4) -> Callable:
    """Return the task of a training step: LoRA of rank 8 on query and value, as PEFT's examples have it."""

    def task(_: Path) -> Repeat:
        model, rng = base(), np.random.default_rng(0)
        add_adapter(
            model,
            LoRAConfig(
                rank=8, layers=layers, targets=("attn.query", "attn.value", "cross_attn.query", "cross_attn.value")
            ),
        )
        mels = rng.normal(size=(clips, frames, 80)).astype(np.float32)
        tokens = (50258, 50259, 50359, *range(1000, 1000 + labels - 1), 50257)
        dataset = [Example(mel, tokens, 3) for mel in mels]
        options = TrainingOptions(
            iters=STEPS + 1,
            batch_size=clips,
            steps_per_report=1,
            steps_per_eval=STEPS + 1,
            audio_context=context,
            full_context_share=0,
            warmup=0,
        )

        def repeat() -> float:
            times = _Times()
            train(model, dataset, options, lambda iteration: None, times)
            return float(np.median(times.seconds[1:]))

        return repeat

    return task


def _transcription(file: str, **options: object) -> Callable:
    def task(folder: Path) -> Repeat:
        model, (samples, language) = base(), read_recording(folder, file)
        chosen = {"language": language, "temperature": 0.0, **options}
        return lambda: timed(lambda: transcribe(model, samples, **chosen))

    return task


def _encoder(_: Path) -> Repeat:
    model, mel = base(), mx.array(random_mels(1, 3000))
    return lambda: timed(lambda: mx.eval(model.encode(mel)))


TASKS = {
    "step": _training(0.0),
    "step-30s": _training(30.0),
    "step-all-blocks": _training(0.0, layers=-1),
    "step-100-labels": _training(0.0, clips=8, labels=100, layers=-1),
    "encoder": _encoder,
    "long": _transcription("long"),
    "long-batched": _transcription("long", batch_size=8),
    "short": _transcription("short"),
}
