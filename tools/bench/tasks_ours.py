"""The tasks of the benchmark for this package, and the rates of the machine through MLX."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mlx.core as mx
import numpy as np

from mlx_whisper_lora.adapters.inject import add_adapter
from mlx_whisper_lora.adapters.lora import LoRAConfig
from mlx_whisper_lora.data.dataset import Example
from mlx_whisper_lora.training.callbacks import Callback, StepReport
from mlx_whisper_lora.training.checkpointing import checkpoint_blocks
from mlx_whisper_lora.training.encoder_cache import EncoderCache, frozen_blocks
from mlx_whisper_lora.training.loop import train
from mlx_whisper_lora.training.options import TrainingOptions
from mlx_whisper_lora.whisper.audio.context import AUTO
from mlx_whisper_lora.whisper.checkpoints.load import load_model
from mlx_whisper_lora.whisper.decoding.decode import decode_features
from mlx_whisper_lora.whisper.decoding.options import DecodingOptions
from mlx_whisper_lora.whisper.model.ops import prepare_cpu
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.transcription.long_form import transcribe
from tools.bench.inputs import (
    Repeat,
    Task,
    decoder_step,
    heard_tokens,
    random_mels,
    read_recording,
    timed,
    transcript_tokens,
)
from tools.ports import free_ports

PACKAGES = ("mlx", "numpy", "scipy")
STEPS = 3  # of training in a repetition, after one that does not count
TARGETS = ("attn.query", "attn.value", "cross_attn.query", "cross_attn.value")
ENDLESS = "-1,50257"  # suppresses the end of a transcript, so that it has the length that is asked for
WIDE = 2048  # rows and columns of a large product
NUMBERS = 2**27  # 512 MB in float32, more than a cache holds


def base(dtype: str = "float32") -> Whisper:
    """Return OpenAI's base."""
    model = load_model("base", getattr(mx, dtype))
    mx.eval(model.parameters())
    return model


def gpu_memory() -> int:
    """Return the largest memory that MLX took, in bytes."""
    return mx.get_peak_memory()


class _Times(Callback):
    def __init__(self) -> None:
        self.seconds: list[float] = []

    def step(self, report: StepReport) -> None:
        self.seconds.append(1 / report.steps_per_second)


def training(
    context: float = AUTO,
    frames: int = 500,
    clips: int = 4,
    labels: int = 24,
    layers: int = 4,
    cached: bool = False,
    checkpoint: bool = False,
) -> Task:
    """Return the task of a training step: LoRA of rank 8 on query and value, as PEFT's examples have it.

    The first step does not count. With the cache, it computes the frozen blocks of the encoder for all clips.
    """

    def task(_: Path, dtype: str = "float32") -> Repeat:
        model = base(dtype)
        add_adapter(model, LoRAConfig(rank=8, layers=layers, targets=TARGETS))
        if checkpoint:
            checkpoint_blocks(model)
        tokens = tuple(transcript_tokens(labels))
        dataset = [Example(mel, tokens, 3) for mel in random_mels(clips, frames)]
        options = TrainingOptions(
            iters=STEPS + 1,
            batch_size=clips,
            steps_per_report=1,
            steps_per_eval=STEPS + 1,
            audio_context=context,
            full_context_share=0,
            pack=0,
            warmup=0,
        )
        cache = EncoderCache(model, frozen_blocks(model.encoder) or 0, 1e9 if cached else 0)  # as `lora` does

        def repeat() -> float:
            times = _Times()
            train(model, dataset, options, lambda iteration: None, times, cache.collate, cache.loss)
            return float(np.median(times.seconds[1:] or [0.0]))  # only the first of several processes has times

        return repeat

    return task


def _transcription(file: str, **options: object) -> Task:
    def task(folder: Path, dtype: str) -> Repeat:
        model, (samples, language) = base(dtype), read_recording(folder, file)
        chosen = {"language": language, "temperature": 0.0, **options}
        return lambda: timed(lambda: transcribe(model, samples, **chosen))

    return task


def _short_window(folder: Path, dtype: str) -> Repeat:
    """Transcribe in a window of the clip's length.

    If base repeated itself, it would be stopped at the number of tokens that all write in a window of 30 s.
    """
    limit = heard_tokens(folder, "short")
    return _transcription("short", audio_context=AUTO, sample_len=limit)(folder, dtype)


def _encoder(_: Path, dtype: str) -> Repeat:
    model, mel = base(dtype), mx.array(random_mels(1, 3000))
    return lambda: timed(lambda: mx.eval(model.encode(mel)))


def _decoder(_: Path, dtype: str) -> Repeat:
    model = base(dtype)
    features = model.encode(mx.array(random_mels(1, 3000)))
    mx.eval(features)

    def decode(count: int) -> None:
        decode_features(model, features, DecodingOptions(language="en", suppress_tokens=ENDLESS, sample_len=count))

    return decoder_step(decode)


def _product(_: Path, dtype: str) -> Repeat:
    prepare_cpu()
    a, b = (mx.random.normal((WIDE, WIDE)).astype(getattr(mx, dtype)) for _ in range(2))
    mx.eval(a, b)
    return lambda: timed(lambda: mx.eval(a @ b))


def _reading(*_: object) -> Repeat:
    """Read a large array once, with a thread on each core."""
    cores = os.cpu_count() or 1
    parts = np.array_split(np.ones(NUMBERS, np.float32), cores)
    pool = ThreadPoolExecutor(cores)
    return lambda: timed(lambda: list(pool.map(np.sum, parts)))


def _ranks(count: int) -> Task:
    """Return the task of training in several processes with one thread each: the seconds a clip.

    They are started as `mlx.launch` starts them, but without it: it keeps a core busy with waiting.
    """

    def task(folder: Path, _: str) -> Repeat:
        hosts = folder / f"{count}_hosts.json"
        environments = [{**os.environ, "OPENBLAS_NUM_THREADS": "1"} for _ in range(count)]
        if count > 1:
            for rank, environment in enumerate(environments):
                environment.update(MLX_RANK=str(rank), MLX_HOSTFILE=str(hosts))

        def repeat() -> float:
            hosts.write_text(json.dumps([[f"127.0.0.1:{port}"] for port in free_ports(count)]))
            command = [sys.executable, "-m", "tools.bench.rank"]
            ranks = [subprocess.Popen(command, env=each, stdout=subprocess.PIPE, text=True) for each in environments]
            outputs = [rank.communicate()[0] for rank in ranks]
            return float(outputs[0].split()[-1])

        return repeat

    return task


TASKS: dict[str, Task] = {
    "step": training(),
    "step-30s": training(30.0),
    "step-all-blocks": training(layers=-1),
    "step-cached": training(cached=True),
    "step-checkpoint": training(checkpoint=True),
    "step-2-blocks": training(layers=2),
    "step-2-blocks-cached": training(layers=2, cached=True),
    "step-100-labels": training(clips=8, labels=100),
    "one-rank": _ranks(1),
    "two-ranks": _ranks(2),
    "encoder": _encoder,
    "decoder-step": _decoder,
    "long": _transcription("long"),
    "long-batched": _transcription("long", batch_size=8),
    "short": _transcription("short"),
    "short-5s": _short_window,
    "product": _product,
    "reading": _reading,
}
