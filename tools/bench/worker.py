"""One contender of a benchmark: it loads once, and repeats its task whenever it is told to.

    python -m tools.bench.worker TASK CONTENDER FOLDER

`tools.bench.run` starts it in the Python that the contender is installed in, and writes a line to its standard input
for each repetition. It answers with a line of JSON: the seconds, and the peak of its resident memory in MB.
"""

import importlib
import json
import os
import resource
import sys
from pathlib import Path


def main() -> None:
    task, contender, folder = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the packages print goes to standard error
    repeat = importlib.import_module(f"tools.bench.tasks_{contender}").TASKS[task](Path(folder))
    print(json.dumps({"ready": True}), file=answers, flush=True)
    for _ in sys.stdin:
        print(json.dumps({"seconds": repeat(), "MB": round(peak_memory() / 1e6)}), file=answers, flush=True)


def peak_memory() -> int:
    """Return the largest resident memory of this process, in bytes."""
    if sys.platform == "darwin":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # On Linux, ru_maxrss begins with the memory of the process that started this one.
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


if __name__ == "__main__":
    main()
