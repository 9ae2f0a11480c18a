"""One contender of a benchmark: it loads once, and repeats its task whenever it is told to.

    python -m tools.bench.worker TASK[:DTYPE] CONTENDER FOLDER

`tools.bench.run` starts it in the Python that the contender is installed in, and writes a line to its standard input
for each repetition. It first answers with the versions of the contender's packages, and then each time with a line of
JSON: the seconds, the peak of its resident memory, and that of the GPU's memory if it takes any, both in MB.
"""

import importlib
import importlib.metadata
import json
import os
import resource
import sys
from pathlib import Path


def main() -> None:
    task, contender, folder = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the packages print goes to standard error
    name, _, dtype = task.partition(":")
    module = importlib.import_module(f"tools.bench.tasks_{contender}")
    repeat = module.TASKS[name](Path(folder), dtype or "float32")
    versions = {package: importlib.metadata.version(package) for package in module.PACKAGES}
    print(json.dumps(versions), file=answers, flush=True)
    gpu_memory = getattr(module, "gpu_memory", int) if dtype else int
    for _ in sys.stdin:
        answer = {"seconds": repeat(), "MB": peak_memory() // 10**6, "GPU MB": gpu_memory() // 10**6}
        print(json.dumps(answer), file=answers, flush=True)


def peak_memory() -> int:
    """Return the largest resident memory of this process, or of one that it has started, in bytes."""
    started = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    if sys.platform == "darwin":
        return max(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, started)
    # On Linux, ru_maxrss begins with the memory of the process that started this one.
    status = Path("/proc/self/status").read_text()
    return max(int(status.partition("VmHWM:")[2].split()[0]), started) * 1024


if __name__ == "__main__":
    main()
