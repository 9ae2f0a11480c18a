"""Measure the start of a run by the number of clips, and training with features ahead of the step and in it.

    python -m tools.bench.startup

Uses the bundled model and clips. The results go to tools/bench/startup.json, and tools/bench/plot.py draws them.
"""

import json
import time
from collections.abc import Callable, Generator, Iterator
from functools import partial
from pathlib import Path

import mlx.core as mx

from mlx_whisper_lora.adapters.inject import add_adapter
from mlx_whisper_lora.adapters.lora import LoRAConfig
from mlx_whisper_lora.data.ahead import DrawnBatch, LateErrors, read_ahead
from mlx_whisper_lora.data.array_cache import ArrayCache
from mlx_whisper_lora.data.dataset import build_examples
from mlx_whisper_lora.data.sources import load_clips
from mlx_whisper_lora.training.callbacks import Callback
from mlx_whisper_lora.training.encoder_cache import EncoderCache, frozen_blocks
from mlx_whisper_lora.training.loop import train
from mlx_whisper_lora.training.options import TrainingOptions
from mlx_whisper_lora.whisper.assets import DEMO_CLIPS
from mlx_whisper_lora.whisper.checkpoints.load import load_model
from tools.bench import growth
from tools.bench.run import setting

RESULTS = Path(__file__).parent / "startup.json"
ROWS = (1000, 10_000, 100_000)
STEPS, BATCH = 40, 8


def in_step(batches: Iterator[DrawnBatch]) -> Generator[DrawnBatch, None, None]:
    """Yield batches with log-mels that are computed when they are needed."""
    for batch in batches:
        yield batch._replace(examples=[example.loaded() for example in batch.examples])


def steps_per_second(read: Callable, cached: bool) -> float:
    """Return the training steps a second.

    Args:
        read: loads the examples of batches.
        cached: whether all log-mels are in the cache before the first step.
    """
    model = load_model("demo")
    cache = ArrayCache(1e9 if cached else 0, "features-")
    examples = build_examples(load_clips(DEMO_CLIPS)["train"], model, cache=cache).examples
    if cached:
        for example in examples:
            example.loaded()
    mx.random.seed(0)
    add_adapter(model, LoRAConfig(layers=1))
    encoder_cache = EncoderCache(model, frozen_blocks(model.encoder), 0)
    times: list[float] = []
    options = TrainingOptions(iters=STEPS, batch_size=BATCH, steps_per_report=1)
    stopwatch = Callback()
    stopwatch.step = lambda report: times.append(time.perf_counter())  # type: ignore[method-assign]
    train(
        model,
        examples,
        options,
        lambda iteration: None,
        stopwatch,
        encoder_cache.collate,
        encoder_cache.loss,
        None,
        read,
    )
    warm = STEPS // 4
    return (len(times) - 1 - warm) / (times[-1] - times[warm])


def main() -> None:
    points = []
    for rows in ROWS:
        points.append(growth.measure("clips", rows))
        print(f"{rows} rows: {points[-1]['seconds']} s, {points[-1]['MB']} MB", flush=True)
    ahead = partial(read_ahead, errors=LateErrors(skip=False, report=print))
    steps = {
        "in the step": steps_per_second(in_step, cached=False),
        "ahead of the step": steps_per_second(ahead, cached=False),
        "from the cache": steps_per_second(ahead, cached=True),
    }
    for name, speed in steps.items():
        print(f"features {name}: {speed:.2f} steps a second")
    start = {"title": "The start of a run", "unit": "clips in the data set", "points": points}
    RESULTS.write_text(json.dumps({**setting(), "start": start, "steps": steps}, indent=1) + "\n")


if __name__ == "__main__":
    main()
