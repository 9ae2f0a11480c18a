"""Make bad recordings, tables, adapters, models and downloads at random, and check what the loaders make of them.

    python -m tools.fuzz --count 3000

Bytes are changed anywhere; recordings are joined and cut off; rows of tables are broken; vocabularies are odd and
weights not finite; names are hostile; a hub hangs, lies or stops half-way. Another process loads the inputs. It may not
crash, take longer than a minute or more than 2 GB, or raise anything but our own errors, in one line that names the
file; and where the right result is known, it may not read another one. `--seed 0 --first 123 --count 1` repeats
case 123.
"""

import argparse
import sys
from pathlib import Path

from tools.fuzz.run import run
from tools.fuzz.worker import serve


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--keep", type=Path, help="folder for the inputs that a loader is at fault with")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        return serve()
    outcomes, faults = run(args.count, args.seed, args.first, args.keep)
    for kind in sorted({kind for kind, _ in outcomes}):
        print(f"{kind:55}" + "  ".join(f"{outcomes[kind, how]:5} {how}" for how in ("read", "refused", "fault")))
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
