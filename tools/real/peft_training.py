"""Fine-tune OpenAI's base by this project and by PEFT on PyTorch: the same clips, batches, settings and optimizer.

    OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 python -m tools.real.peft_training malayalam --iters 300 --seeds 0 1

Each side trains in a process of its own. PEFT computes windows of 30 s with the features of transformers, as for
everybody. This project computes windows of the clips' length (its default), without its windows of several clips, its
timestamps and its full windows, which PEFT does not have. Both adapters are tested by `lora --test`, which reads PEFT's
folder. Results go to tools/real/peft_training.json. PyTorch, transformers and peft are those of `make parity`.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from mlx_whisper_lora.data.batches import iterate_batches, make_labels
from mlx_whisper_lora.data.dataset import Example, build_examples
from mlx_whisper_lora.data.sources import load_clips
from mlx_whisper_lora.training.options import TrainingOptions
from mlx_whisper_lora.training.schedules import learning_rate_schedule
from mlx_whisper_lora.whisper.audio.load import load_audio
from mlx_whisper_lora.whisper.checkpoints.load import load_model
from tools.real.adapt import OUTPUT, TASKS, Task, data_folder, run, score
from tools.real.results import add_result

RESULTS = Path(__file__).parent / "peft_training.json"
RANK, SCALE, BATCH = 16, 2, 2  # the defaults of `lora`
TARGETS = ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"]


def train_by_peft(folder: Path, task: Task, iters: int, seed: int, base: Path, output: Path) -> None:
    """Train LoRA by PEFT on the clips that `lora` draws, and save it as a folder of PEFT."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration

    torch.manual_seed(seed)
    torch.set_num_threads(1)
    examples = build_examples(load_clips(folder)["train"], load_model("base"), task.language).examples
    options = TrainingOptions(iters=iters, batch_size=BATCH, seed=seed).resolve(len(examples))
    rate = learning_rate_schedule(options)
    extractor = WhisperFeatureExtractor()
    model = WhisperForConditionalGeneration.from_pretrained(base, dtype=torch.float32)
    config = LoraConfig(r=RANK, lora_alpha=RANK * SCALE, lora_dropout=0.0, target_modules=TARGETS)
    adapted = get_peft_model(model, config).train()
    trained = [each for each in adapted.parameters() if each.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1.0, weight_decay=options.weight_decay)
    batches = iterate_batches(examples, BATCH, seed)
    for step in range(iters):
        for group in optimizer.param_groups:
            group["lr"] = float(rate(step))
        loss = _loss(adapted.base_model.model, extractor, next(batches))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, options.max_grad_norm)
        optimizer.step()
        if step % 10 == 9:
            print(f"PEFT, step {step + 1} of {iters}: loss {loss.item():.3f}", flush=True)
    adapted.save_pretrained(str(output))


def _loss(model, extractor, examples: list[Example]):
    """Return the mean cross-entropy of the label tokens of a batch, in windows of 30 s."""
    import torch

    clips = [each.clip for each in examples if each.clip]
    samples = [load_audio(clip.audio, start=clip.start, end=clip.end) for clip in clips]
    mels = extractor(samples, sampling_rate=16000, return_tensors="pt").input_features
    tokens, positions, labels = (torch.from_numpy(np.array(array)).long() for array in make_labels(examples))
    logits = model(input_features=mels, decoder_input_ids=tokens).logits
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1)[positions], labels)


def timed(command: list[str]) -> dict[str, float]:
    """Run a command, and return its minutes, those of the processor, and its peak memory."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    if subprocess.run(command).returncode:
        sys.exit(1)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"minutes": round((time.perf_counter() - start) / 60, 1), "processor_minutes": round(used / 60, 1)}


def measure(name: str, task: Task, folder: Path, side: str, iters: int, seed: int) -> dict:
    """Train one side, test it, and return what was found."""
    memory = OUTPUT / "memory.json"
    base = OUTPUT / "base_hf"
    if not base.exists():
        run("convert", "--model", "base", "--export", "hf", "--dtype", "float32", "--save-path", base)
    adapter = OUTPUT / (f"{name}_peft_{seed}" if side == "PEFT" else f"{name}_ours_{seed}.npz")
    worker = ["--side", side, "--base", str(base), "--adapter", str(adapter), "--memory", str(memory)]
    module = [sys.executable, "-m", "tools.real.peft_training", name, "--iters", str(iters), "--seeds", str(seed)]
    used = timed([*module, *worker])
    peak = json.loads(memory.read_text())
    about = {"task": name, "side": side, "iters": iters, "seed": seed, "clips_seen": BATCH * iters}
    return about | used | {"peak_memory_gb": peak} | score(folder, task, adapter, greedy=True)


def work(args: argparse.Namespace, task: Task, folder: Path) -> None:
    """Train one side in this process, and write its peak memory."""
    seed = args.seeds[0]
    if args.side == "PEFT":
        train_by_peft(folder, task, args.iters, seed, Path(args.base), Path(args.adapter))
    else:
        run("lora", "--train", "--model", "base", "--data", folder, "--language", task.language, "--iters", args.iters,
            "--seed", seed, "--batch-size", BATCH, "--pack", 0, "--timestamps-share", 0, "--full-context-share", 0,
            "--val-clips", 1, "--steps-per-eval", args.iters, "--best-by", "loss", "--adapter-file", args.adapter,
            "--overwrite")  # fmt: skip
    usage = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    kilobytes = usage[0] if args.side == "PEFT" else usage[1]
    Path(args.memory).write_text(json.dumps(round(kilobytes * 1024 / 1e9, 2)))


def main() -> None:
    parser = argparse.ArgumentParser(description="Fine-tune base by this project and by PEFT.")
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("--iters", type=int, required=True, help=f"steps of {BATCH} clips")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    for name in ("--side", "--base", "--adapter", "--memory"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    args = parser.parse_args()
    OUTPUT.mkdir(parents=True, exist_ok=True)
    task = TASKS[args.task]
    folder = data_folder(args.task, task, None)
    if args.side:
        work(args, task, folder)
        return
    for seed in args.seeds:
        for side in ("ours", "PEFT"):
            add_result(RESULTS, measure(args.task, task, folder, side, args.iters, seed))


if __name__ == "__main__":
    main()
