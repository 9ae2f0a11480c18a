"""The tasks of the benchmark, with the contenders of each and the least work that each has to do."""

from collections.abc import Callable
from typing import NamedTuple

from mlx_whisper_lora.whisper.model.whisper import DIMENSIONS
from tools.bench.floors import Heard, Phase, decoder_step, encoder, training_step, transcription

OURS, TORCH, MLX, CTRANSLATE2, WHISPERCPP = "ours", "torch", "mlx_whisper", "ctranslate2", "whispercpp"
PEERS = (TORCH, MLX, CTRANSLATE2, WHISPERCPP)
BASE = DIMENSIONS["base"]
WINDOW, SHORT = 1500, 275  # encoder positions of 30 s, and of a clip of 5 s with the silence after it


class Row(NamedTuple):
    """A contender of a task."""

    contender: str
    task: str  # its name in the contender's TASKS
    work: Callable[[dict[str, Heard]], list[Phase]] | None = None  # from what is heard in the recordings


def _step(positions: int, clips: int = 4, labels: int = 24, layers: int = 4, cached: bool = False) -> Callable:
    return lambda heard: training_step(BASE, clips, positions, labels, layers, cached)


def _transcription(name: str, positions: int = WINDOW, together: int = 1, number: int = 4) -> Callable:
    return lambda heard: transcription(BASE, heard[name], positions, together, number)


def _encoder(heard: dict[str, Heard]) -> list[Phase]:
    return [encoder(BASE, WINDOW)]


def _decoder(heard: dict[str, Heard]) -> list[Phase]:
    return [decoder_step(BASE, WINDOW)]


# Each task by its name here, with its contenders by their titles. The last row is ours.
TASKS: dict[str, dict[str, Row]] = {
    "step": {
        "PEFT (30 s)": Row(TORCH, "step", _step(WINDOW)),
        "plain MLX (30 s)": Row(MLX, "step", _step(WINDOW)),
        "ours, 30 s": Row(OURS, "step-30s", _step(WINDOW)),
        "ours, 5 s, all blocks": Row(OURS, "step-all-blocks", _step(SHORT, layers=-1)),
        "ours, 5 s": Row(OURS, "step", _step(SHORT)),
        # `lora --lora-layers 4` does this by default, from the second pass over the clips on.
        "ours, 5 s, cached": Row(OURS, "step-cached", _step(SHORT, cached=True)),
        "ours, 5 s, --grad-checkpoint": Row(OURS, "step-checkpoint", _step(SHORT)),
    },
    "step-cached": {
        "ours, 5 s, last 2 blocks": Row(OURS, "step-2-blocks", _step(SHORT, layers=2)),
        "ours, 5 s, last 2 blocks, cached": Row(OURS, "step-2-blocks-cached", _step(SHORT, layers=2, cached=True)),
    },
    "step-100-labels": {
        "PEFT (30 s)": Row(TORCH, "step-100-labels", _step(WINDOW, clips=8, labels=100)),
        "ours, 5 s": Row(OURS, "step-100-labels", _step(SHORT, clips=8, labels=100)),
    },
    "encoder": {
        "PyTorch": Row(TORCH, "encoder", _encoder),
        "mlx-whisper": Row(MLX, "encoder", _encoder),
        "ours": Row(OURS, "encoder", _encoder),
    },
    "decoder-step": {
        "openai-whisper": Row(TORCH, "decoder-step", _decoder),
        "faster-whisper": Row(CTRANSLATE2, "decoder-step", _decoder),
        "mlx-whisper": Row(MLX, "decoder-step", _decoder),
        "ours": Row(OURS, "decoder-step", _decoder),
    },
    "short": {
        "openai-whisper": Row(TORCH, "short", _transcription("short")),
        "faster-whisper": Row(CTRANSLATE2, "short", _transcription("short")),
        "whisper.cpp": Row(WHISPERCPP, "short", _transcription("short", number=2)),
        "mlx-whisper": Row(MLX, "short", _transcription("short")),
        "ours": Row(OURS, "short", _transcription("short")),
        "ours, 5 s window": Row(OURS, "short-5s", _transcription("short", SHORT)),
    },
    "long": {
        "openai-whisper": Row(TORCH, "long", _transcription("long")),
        "faster-whisper": Row(CTRANSLATE2, "long", _transcription("long")),
        "whisper.cpp": Row(WHISPERCPP, "long", _transcription("long", number=2)),
        "mlx-whisper": Row(MLX, "long", _transcription("long")),
        "ours, batches of 8": Row(OURS, "long-batched", _transcription("long", together=8)),
        "ours": Row(OURS, "long", _transcription("long")),
    },
    # Seconds a clip. Each rank has one thread and the same batch.
    "ranks": {"one rank": Row(OURS, "one-rank"), "two ranks": Row(OURS, "two-ranks")},
}

# On a GPU, each task in the type that `lora` and `transcribe` compute in there, and in float32.
GPU_TASKS: dict[str, dict[str, Row]] = {
    f"{name}, {dtype}": {
        title: Row(row.contender, f"{row.task}:{dtype}")
        for title, row in TASKS[name].items()
        if row.contender in (OURS, MLX) or (row.contender, name) == (TORCH, "step")
    }
    for name in ("step", "encoder", "decoder-step", "short", "long")
    for dtype in ("float16", "float32")
}
