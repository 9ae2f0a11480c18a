"""Make the demo model: a small Whisper, trained from nothing on synthetic speech by the package's own trainer.

    python -m tools.demo_model.train --work build/demo_model

Needs espeak-ng (Debian package of that name) and about 8 GB of disk. The work folder keeps the corpora, the features
and each phase's weights, so that a run that was stopped continues with the phase it was in.
"""

import argparse
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
import numpy as np
from mlx.utils import tree_flatten

from mlx_whisper_lora.data.batches import make_batch
from mlx_whisper_lora.training.console import ConsoleCallback
from mlx_whisper_lora.training.loop import train
from mlx_whisper_lora.training.loss import cross_entropy_loss, loss_from_features
from mlx_whisper_lora.training.options import TrainingOptions
from mlx_whisper_lora.whisper.assets import DEMO_MODEL
from mlx_whisper_lora.whisper.atomic_files import atomic_write
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.text.tokenizer import get_tokenizer
from tools.demo_model.aligner import Aligner
from tools.demo_model.corpus import Recipe, load_corpus, write_corpus
from tools.demo_model.recordings import Encoded, Joined, Recordings, SpokenExample, record_clips, record_windows
from tools.demo_model.vocabulary import DIMENSIONS, Vocabulary

ROOT = Path(__file__).parents[2]
CORPORA = {
    "short": (30_000, Recipe(seed=1, weights=(1, 1, 1))),
    "long": (60_000, Recipe(seed=2, weights=(1, 3, 3, 3, 3, 3, 1, 1, 1, 1))),
    "heldout": (600, Recipe(seed=3, weights=(1,) * 10, held_out=True)),
}


@dataclass(frozen=True)
class Phase:
    """One stretch of training; it starts with the weights that the phase before it ended with."""

    name: str
    recordings: dict[str, int]  # number of recordings of each kind
    iters: int
    batch_size: int
    learning_rate: float
    aligned: bool = True
    audio_context: float = 0
    encoded: str | None = None  # train the decoder alone; the features' name, for phases with one encoder


# From one word to windows of many.
PHASES = (
    Phase("words", {"short.clips": 30_000}, 800, 32, 2e-3),
    Phase("utterances", {"short.clips": 15_000, "long.clips": 60_000}, 4000, 32, 2e-3),
    Phase("medium", {"long.clips": 6000, "medium.windows": 3000}, 400, 16, 1e-3),
    Phase("full", {"long.clips": 3000, "medium.windows": 1000, "full.windows": 1500}, 500, 12, 1e-3),
    # The aligner has done its work: from here the labels train the entire model alone.
    Phase("labels", {"long.clips": 60_000}, 1900, 32, 1e-3, aligned=False),
    Phase("windows", {"long.clips": 1500, "medium.windows": 3000, "full.windows": 1500}, 200, 12, 4e-4, aligned=False),
    # Finding the way through a window is the decoder's work, and its steps are cheap once the audio is encoded.
    Phase("decoder", {"long.clips": 500, "full.windows": 4500}, 1000, 16, 1e-3, encoded="windows"),
    Phase("tracking", {"long.clips": 500, "full.windows": 4500}, 1500, 16, 1e-3, aligned=False, encoded="windows"),
    Phase("both", {"long.clips": 12_000, "full.windows": 6000}, 1000, 12, 1e-3, aligned=False),
    # A clip in a window is mostly silence, whose length a model that saw clips alone underestimates.
    Phase("padded", {"long.clips": 6000, "full.windows": 6000}, 440, 12, 5e-4, aligned=False, audio_context=30),
    # The text that transcription gives before a window has timestamps in it, and may be long.
    Phase("prompted", {"long.clips": 300, "prompted.windows": 2000}, 300, 12, 1e-3, aligned=False, encoded="padded"),
)
WHOLE_VOCABULARY = Phase("whole", {"long.clips": 1000, "prompted.windows": 500}, 40, 12, 2e-4, aligned=False)


def prepare(work: Path) -> None:
    """Synthesize the corpora and compute all log-mels."""
    for name, (count, recipe) in CORPORA.items():
        if not (work / name / "index.jsonl").exists():
            write_corpus(work / name, count, recipe)
        record_clips(name, work)
    record_windows("medium", 3000, 11, 12.0, "long", work)
    record_windows("full", 6000, 12, 30.0, "long", work)
    record_windows("prompted", 2000, 14, 30.0, "long", work)
    record_windows("unheard", 100, 13, 30.0, "heldout", work)


def run_phase(
    model: Whisper, phase: Phase, work: Path, vocabulary: Vocabulary | None, aligner: Aligner, seed: int
) -> None:
    """Train for one phase, or load its weights if the work folder has them."""
    path = work / f"{phase.name}.safetensors"
    if path.exists():
        model.load_weights(str(path))
        return
    dataset = Joined(*(Recordings(work / name, vocabulary, count) for name, count in phase.recordings.items()))
    args = TrainingOptions(
        iters=phase.iters,
        batch_size=phase.batch_size,
        learning_rate=phase.learning_rate,
        warmup=50,
        steps_per_report=50,
        steps_per_eval=100,
        audio_context=phase.audio_context,
        full_context_share=0.0,
        seed=seed,
    )
    print(f"Phase {phase.name}: {phase.iters} steps of {phase.batch_size}", flush=True)
    hooks = (aligner.collate, aligner.loss) if phase.aligned else (make_batch, cross_entropy_loss)
    if phase.encoded:
        model.freeze()
        model.decoder.unfreeze()
        dataset = Encoded(work / f"{phase.encoded}.encoded.npy", dataset, model)
        loss = aligner.decoder_loss if phase.aligned else loss_from_features
        hooks = (aligner.collate_encoded, lambda m, b: loss(m, b.features, b))
    clips, windows = (Recordings(work / name, vocabulary) for name in ("heldout.clips", "unheard.windows"))
    held_out = {"clips": [clips[i] for i in range(100)], "windows": [windows[i] for i in range(24)]}
    train(
        model,
        dataset,
        args,
        lambda _: print_accuracy(model, held_out),
        ConsoleCallback(partial(print, flush=True)),
        *hooks,
    )
    model.unfreeze()
    if mx.distributed.init().rank() == 0:
        mx.save_safetensors(str(path), dict(tree_flatten(model.parameters())))


def print_accuracy(model: Whisper, held_out: dict[str, list[SpokenExample]]) -> None:
    """Print how many label tokens of unknown voices the model predicts from those before them."""
    for name, examples in held_out.items():
        batch = make_batch(examples)
        hidden, _ = model.decoder.hidden(batch.tokens, model.encoder(batch.mel))
        logits = model.decoder.logits(hidden.reshape(-1, hidden.shape[-1])[batch.positions])
        loss = nn.losses.cross_entropy(logits, batch.labels, reduction="mean").item()
        right = (logits.argmax(axis=-1) == batch.labels).mean().item()
        print(f"    held-out {name}: loss {loss:.3f}, {100 * right:.1f} % of tokens right", flush=True)


def train_all(work: Path) -> None:
    """Train all phases and save the model; each of several processes computes its part."""
    tokenizer = get_tokenizer(True)
    texts = [item.text for name in CORPORA for item in load_corpus(work / name)]
    vocabulary = Vocabulary(tokenizer, texts)
    model = vocabulary.new_model(seed=0)
    aligner = Aligner(vocabulary, tokenizer)
    aligner.add_heads(model)
    mx.eval(model.parameters())
    for seed, phase in enumerate(PHASES, start=1):
        run_phase(model, phase, work, vocabulary, aligner, seed)
    expanded = vocabulary.expand(model)
    run_phase(expanded, WHOLE_VOCABULARY, work, None, aligner, seed=9)
    if mx.distributed.init().rank() == 0:
        save(expanded)


def save(model: Whisper) -> None:
    """Write the bundled model: float16 in a compressed .npz, in which equal embedding rows cost almost nothing."""
    DEMO_MODEL.mkdir(parents=True, exist_ok=True)
    arrays = {name: np.array(array.astype(mx.float16)) for name, array in tree_flatten(model.parameters())}
    with atomic_write(DEMO_MODEL / "weights.npz", "wb") as file:
        np.savez_compressed(file, **arrays)
    with atomic_write(DEMO_MODEL / "config.json") as file:
        json.dump({"model_type": "whisper", **DIMENSIONS.to_dict()}, file, indent=2)


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the demo model.")
    parser.add_argument("--work", type=Path, default=Path("build/demo_model"), help="folder for intermediate files")
    parser.add_argument("--processes", type=int, default=2, help="number of processes that share each step")
    args = parser.parse_args()
    if "MLX_RANK" in os.environ:  # one of the processes started below
        train_all(args.work)
        return
    args.work.mkdir(parents=True, exist_ok=True)
    prepare(args.work)
    hosts = args.work / "hosts.json"
    hosts.write_text(json.dumps([[f"127.0.0.1:{41000 + rank}"] for rank in range(args.processes)]))
    command = [sys.executable, "-m", "tools.demo_model.train", "--work", str(args.work)]
    environment = {**os.environ, "MLX_HOSTFILE": str(hosts), "PYTHONPATH": str(ROOT)}
    processes = [
        subprocess.Popen(command, env={**environment, "MLX_RANK": str(rank)}) for rank in range(args.processes)
    ]
    sys.exit(max(process.wait() for process in processes))


if __name__ == "__main__":
    main()
