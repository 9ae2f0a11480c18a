"""Train many short runs on real recordings with OpenAI's base, to choose the default settings by measurement.

    python -m tools.real.sweep ../shared/data/malayalam --seeds 0

Every run learns from the same number of clips, so that its speed on a busy machine does not decide. The score is the
loss on the validation clips: after a few minutes, the texts in a new language are too bad for word errors to tell
settings apart. A run that is in the results already is not repeated. The results are in tools/real/sweep.json.
"""

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path

import mlx.core as mx

from mlx_whisper_lora.adapters.lora import TARGETS, LoRAConfig
from mlx_whisper_lora.data.dataset import build_examples
from mlx_whisper_lora.data.sources import load_clips
from mlx_whisper_lora.training.console import ConsoleCallback
from mlx_whisper_lora.training.evaluation import mean_loss
from mlx_whisper_lora.training.finetune import finetune
from mlx_whisper_lora.training.options import TrainingOptions
from mlx_whisper_lora.training.run_options import RunOptions
from mlx_whisper_lora.whisper.checkpoints.load import load_model

RESULTS = Path(__file__).parent / "sweep.json"
CLIPS = 480  # that a run learns from

QV = ("attn.query", "attn.value")
CROSS = (*QV, "cross_attn.query", "cross_attn.value")
CROSS_MLP = (*CROSS, "mlp1", "mlp2")


def _settings(targets: tuple[str, ...], rank: int = 16, layers: int = -1, **training) -> dict[str, dict]:
    """Return changes to LoRAConfig and to TrainingOptions."""
    return {"lora": {"rank": rank, "layers": layers, "targets": targets}, "training": training}


SETTINGS = {
    "cross and mlp, 1e-3": _settings(CROSS_MLP),
    "cross and mlp, 3e-3": _settings(CROSS_MLP, learning_rate=3e-3),
    "old default": _settings(QV, rank=8, layers=4),
    "all, 2e-3": _settings(TARGETS, learning_rate=2e-3),
    "batches of 4, 1e-3": _settings(CROSS_MLP, batch_size=4),
    "all, 1e-3": _settings(TARGETS),
    "batches of 4, all, 1e-3": _settings(TARGETS, batch_size=4),
    "batches of 4, all, 2e-3": _settings(TARGETS, batch_size=4, learning_rate=2e-3),
    "batches of 4, all, rank 8, 1e-3": _settings(TARGETS, rank=8, batch_size=4),
    "batches of 4, all, rank 32, 1e-3": _settings(TARGETS, rank=32, batch_size=4),
    "batches of 2, all, 1e-3": _settings(TARGETS, batch_size=2),
    "batches of 1, all, 5e-4": _settings(TARGETS, batch_size=1, learning_rate=5e-4),
    "batches of 2, all, 5e-4": _settings(TARGETS, batch_size=2, learning_rate=5e-4),
    "all, 5e-3": _settings(TARGETS, learning_rate=5e-3),
    "batches of 4, all, 1e-3, short windows alone": _settings(TARGETS, batch_size=4, full_context_share=0.0, pack=0.0),
}


def run(data: Path, name: str, seed: int) -> dict:
    """Train one adapter, and return its settings and scores."""
    model = load_model("base")
    clips = load_clips(data)
    train_set, valid_set = (build_examples(clips[split], model).examples for split in ("train", "valid"))
    settings = LoRAConfig(**SETTINGS[name]["lora"])
    given = {"batch_size": 8, "warmup": 10, "seed": seed, "steps_per_report": 10} | SETTINGS[name]["training"]
    training = TrainingOptions(**given, iters=CLIPS // given["batch_size"], steps_per_eval=10**6)
    options = RunOptions("base", adapter_file="build/sweep/adapters.npz", overwrite=True)
    Path("build/sweep").mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    finetune(model, train_set, [], options, training, settings, ConsoleCallback(lambda line: print(line, flush=True)))
    seconds = time.perf_counter() - start
    return {
        "data": data.name,
        "name": name,
        "seed": seed,
        "lora": asdict(settings),
        "training": asdict(training),
        "train_seconds": round(seconds),
        "peak_gigabytes": round(mx.get_peak_memory() / 1e9, 1),
        "val_loss": round(mean_loss(model, valid_set, 8), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Choose default settings by many short runs.")
    parser.add_argument("data", type=Path, help="folder of clips")
    parser.add_argument("--names", nargs="+", choices=SETTINGS, default=[*SETTINGS], help="which settings to run")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    args = parser.parse_args()
    for seed in args.seeds:
        for name in args.names:
            results = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
            if any((each["data"], each["name"], each["seed"]) == (args.data.name, name, seed) for each in results):
                continue
            print(f"{name}, seed {seed}", flush=True)
            results.append(run(args.data, name, seed))
            print(results[-1], flush=True)
            RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
