"""Measure memory and time by model size: a training step, and a window of transcription.

    python -m tools.bench.sizes tiny base small medium large-v3

The weights are random, because sizes and times do not depend on them. A training step has two clips of 5 s with 40
label tokens each and the default adapter; one step of ten has a clip in a full window of 30 s, which takes the most
memory. A window of transcription has 30 s and 50 tokens. Memory is the peak that MLX allocates, beside about 0.3 GB for
Python and its libraries.
"""

import argparse
import time

import mlx.core as mx
import numpy as np

from mlx_whisper_lora.adapters.inject import add_adapter
from mlx_whisper_lora.adapters.lora import LoRAConfig
from mlx_whisper_lora.data.dataset import Example
from mlx_whisper_lora.training.callbacks import Callback, StepReport
from mlx_whisper_lora.training.encoder_cache import EncoderCache, frozen_blocks
from mlx_whisper_lora.training.loop import train
from mlx_whisper_lora.training.options import TrainingOptions
from mlx_whisper_lora.whisper.checkpoints.load import default_dtype
from mlx_whisper_lora.whisper.decoding.decode import decode_features
from mlx_whisper_lora.whisper.decoding.options import DecodingOptions
from mlx_whisper_lora.whisper.model.quantization import parameter_count
from mlx_whisper_lora.whisper.model.whisper import DIMENSIONS, Whisper

CLIPS, FRAMES, TOKENS, WINDOW_TOKENS, STEPS = 2, 500, 40, 50, 5


class Times(Callback):
    """Keeps the seconds of each step."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def step(self, report: StepReport) -> None:
        self.seconds.append(1 / report.steps_per_second)


def new_model(size: str) -> Whisper:
    """Return a model with random weights, in the type that a loaded one has."""
    model = Whisper(DIMENSIONS[size])
    model.set_dtype(default_dtype())
    mx.eval(model.parameters())
    model.eval()
    return model


def measure_window(model: Whisper) -> tuple[float, float]:
    """Return the seconds for a window of 30 s, and the peak memory in GB."""
    mel = mx.random.normal((1, 3000, model.dims.n_mels))
    options = DecodingOptions(language="en", sample_len=WINDOW_TOKENS, suppress_tokens="-1,50257")  # it does not end
    times = []
    mx.reset_peak_memory()
    for _ in range(3):
        start = time.perf_counter()
        decode_features(model, model.encode(mel), options)
        times.append(time.perf_counter() - start)
    return float(np.median(times)), mx.get_peak_memory() / 1e9


def measure_steps(model: Whisper) -> tuple[float, float, float]:
    """Return the seconds for a training step of short windows, for one of a full window, and the peak memory in GB."""
    add_adapter(model, LoRAConfig())
    random = np.random.default_rng(0)
    prompt = model.tokenizer("en").sot_sequence_including_notimestamps
    clips = [
        Example(
            random.standard_normal((FRAMES, model.dims.n_mels)).astype(np.float32),
            (*prompt, *random.integers(0, 50000, TOKENS).tolist(), 50257),
            len(prompt),
        )
        for _ in range(CLIPS)
    ]
    medians = []
    mx.reset_peak_memory()
    for share in (0.0, 1.0):
        training = TrainingOptions(
            iters=STEPS, batch_size=CLIPS, steps_per_report=1, steps_per_eval=STEPS, full_context_share=share
        )
        times, cache = Times(), EncoderCache(model, frozen_blocks(model.encoder), training.encoder_cache * 1e9)
        train(model, clips, training, lambda iteration: None, times, cache.collate, cache.loss)
        medians.append(float(np.median(times.seconds)))
    return medians[0], medians[1], mx.get_peak_memory() / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure memory and time by model size.")
    parser.add_argument("sizes", nargs="+", choices=DIMENSIONS)
    titles = ("size", "parameters", "a window of 30 s", "memory", "a training step", "one of a full window", "memory")
    print(f"| {' | '.join(titles)} |\n{'|---' * len(titles)}|")
    for size in parser.parse_args().sizes:
        model = new_model(size)
        count = parameter_count(model) / 1e6
        window, memory = measure_window(model)
        step, full_step, most = measure_steps(model)
        cells = [size, f"{count:.0f}M", f"{window:.1f} s", f"{memory:.1f} GB"]
        cells += [f"{step:.1f} s", f"{full_step:.1f} s", f"{most:.1f} GB"]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
