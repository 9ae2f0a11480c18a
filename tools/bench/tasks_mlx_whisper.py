"""The tasks of the benchmark for mlx-whisper, with the BLAS that our package finds.

Without it, all take ten times as long. Training is a plain loop on its model, as mlx-examples trains: every clip is
padded to 30 s.
"""

import math
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx_whisper import transcribe
from mlx_whisper.decoding import DecodingOptions, decode
from mlx_whisper.load_models import load_model

from mlx_whisper_lora.whisper.backends.cpu.blas import use_fast_blas
from tools.bench.inputs import Repeat, Task, decoder_step, random_mels, read_recording, timed, transcript_tokens

PACKAGES = ("mlx", "mlx-whisper")

use_fast_blas()


def gpu_memory() -> int:
    """Return the largest memory that MLX took, in bytes."""
    return mx.get_peak_memory()


class LoRA(nn.Module):
    """A linear layer with a low-rank addition."""

    def __init__(self, linear: nn.Linear, rank: int = 8):
        super().__init__()
        outputs, inputs = linear.weight.shape
        self.linear = linear
        self.lora_a = mx.random.uniform(-1, 1, (inputs, rank)) / math.sqrt(inputs)
        self.lora_b = mx.zeros((rank, outputs))

    def __call__(self, x: mx.array) -> mx.array:
        return self.linear(x) + (2.0 * ((x @ self.lora_a) @ self.lora_b)).astype(x.dtype)


def _step(folder: Path, dtype: str, clips: int = 4, labels: int = 24, layers: int = 4) -> Repeat:
    model = load_model(str(folder / "mlx"), getattr(mx, dtype))
    model.freeze()
    for block in [*model.encoder.blocks[-layers:], *model.decoder.blocks[-layers:]]:
        for attention in filter(None, (block.attn, block.cross_attn)):
            attention.query, attention.value = LoRA(attention.query), LoRA(attention.value)
            for adapted in (attention.query, attention.value):
                adapted.unfreeze(keys=["lora_a", "lora_b"], recurse=False)
    optimizer = optim.AdamW(1e-3)
    mel = mx.array(random_mels(clips, 3000)).astype(getattr(mx, dtype))
    tokens = mx.array([transcript_tokens(labels)] * clips)
    gradient_of_loss = nn.value_and_grad(
        model, lambda: nn.losses.cross_entropy(model(mel, tokens[:, :-1]), tokens[:, 1:], reduction="mean")
    )

    def step() -> None:
        loss, gradients = gradient_of_loss()
        gradients, _ = optim.clip_grad_norm(gradients, 1.0)
        optimizer.update(model, gradients)
        mx.eval(loss, model.trainable_parameters(), optimizer.state)

    return lambda: timed(step)


def _transcription(file: str) -> Task:
    def task(folder: Path, dtype: str) -> Repeat:
        samples, language = read_recording(folder, file)
        options = {"path_or_hf_repo": str(folder / "mlx"), "temperature": 0.0, "fp16": dtype == "float16"}
        return lambda: timed(lambda: transcribe(samples, language=language, **options))

    return task


def _encoder(folder: Path, dtype: str) -> Repeat:
    model = load_model(str(folder / "mlx"), getattr(mx, dtype))
    mel = mx.array(random_mels(1, 3000)).astype(getattr(mx, dtype))
    return lambda: timed(lambda: mx.eval(model.encoder(mel)))


def _decoder(folder: Path, dtype: str) -> Repeat:
    model = load_model(str(folder / "mlx"), getattr(mx, dtype))
    features = model.encoder(mx.array(random_mels(1, 3000)).astype(getattr(mx, dtype)))
    mx.eval(features)
    options = DecodingOptions(language="en", suppress_tokens="-1,50257", fp16=dtype == "float16")
    return decoder_step(lambda count: decode(model, features, options, sample_len=count))


TASKS: dict[str, Task] = {
    "step": _step,
    "encoder": _encoder,
    "decoder-step": _decoder,
    "long": _transcription("long"),
    "short": _transcription("short"),
}
