"""Time training and inference on the GPU that MLX has, Metal or CUDA, in float16 and in float32.

    make bench-gpu

It installs mlx-whisper, and transformers with PEFT, and gives their Pythons to this program. PEFT is left out if
PyTorch has no GPU. The contenders take turns, as in `tools.bench.run`. The results go to build/bench_gpu.json. With
--check, nothing is measured.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import mlx.core as mx

from tools.bench.run import ROOT, parse_args, setting, table, time_rows, write_files, write_recordings
from tools.bench.tasks import GPU_TASKS, MLX, TORCH

RESULTS = ROOT / "build" / "bench_gpu.json"


def require_gpu() -> None:
    """End the program if MLX has no GPU."""
    if mx.default_device() != mx.gpu:
        sys.exit("MLX has no GPU on this machine: bench-gpu needs Apple silicon, or Linux with CUDA")


def torch_has_gpu(python: str) -> bool:
    """Return whether the PyTorch of a Python has a GPU."""
    code = "import sys, torch; sys.exit(not (torch.cuda.is_available() or torch.backends.mps.is_available()))"
    return subprocess.run([python, "-c", code], check=False).returncode == 0


def main() -> None:
    require_gpu()
    if sys.argv[1:] == ["--check"]:
        return
    args = parse_args(__doc__, GPU_TASKS, (TORCH, MLX))
    pythons = args.pythons
    if TORCH in pythons and not torch_has_gpu(pythons[TORCH]):
        print("PyTorch has no GPU: PEFT is left out")
        del pythons[TORCH]
    RESULTS.parent.mkdir(exist_ok=True)
    results = {**setting(), "device": mx.device_info(), "tasks": {}}
    with tempfile.TemporaryDirectory() as folder:
        write_files(Path(folder))
        write_recordings(Path(folder), {"short"})
        for name in args.tasks:
            found, versions = time_rows(GPU_TASKS[name], pythons, args.rounds, Path(folder))
            results["tasks"][name] = {"versions": versions, "results": found}
            print(table(name, found), end="\n\n", flush=True)
            if args.rounds:
                RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
