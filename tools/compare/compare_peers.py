"""Try every option and format with mlx_whisper_lora, mlx-whisper and openai-whisper, and print the results as a table.

    python -m tools.compare.compare_peers --mlx-whisper theirs/bin/python --openai-whisper others/bin/python

Each of the three runs in a Python of its own: ours (with the extra `vad`) in the one that runs this, or in `--ours`.
Needs ffmpeg, which both peers read all audio with, and no network: the Hub's repositories are in a cache made here. All
of them transcribe 2.5 s of speech with the bundled model, converted for each. Their transcripts do not matter. An
option works if a transcript is written and the option has its effect on it, on its files, or at least on how windows
are decoded. Each tool's command runs inside this program with other arguments, again and again: that saves most of the
time, which goes into imports.
"""

import argparse
import itertools
import json
import re
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

from tools.compare.attempts import cell
from tools.compare.peers import MLX, OPENAI, OURS, Tool, run_in
from tools.compare.rows import OPTIONS, ROWS


def try_rows(name: str, files: Path, only: str) -> None:
    """Write a line of JSON for each cell of a column, and first the column's title.

    Args:
        name: OURS, MLX or OPENAI, installed in this Python.
        files: the folder that `tools.compare.files` filled; the column goes there too.
        only: a regular expression; rows without a match in their title are skipped.
    """
    warnings.simplefilter("ignore")  # openai-whisper's, about float16 on a CPU
    tool = Tool(name, files)
    with (files / f"{name}.jsonl").open("w") as file:
        for title, text in itertools.chain([("", tool.title)], _cells(tool, only)):
            print(json.dumps([title, text]), file=file, flush=True)
            print(f"{name}: {title}: {text}", file=sys.stderr, flush=True)


def _cells(tool: Tool, only: str) -> Iterator[tuple[str, str]]:
    for group, rows in ROWS.items():
        for title, attempt in rows:
            if re.search(only, title):
                yield title, cell(tool, attempt, name_errors=group == OPTIONS)


def print_table(files: Path) -> None:
    """Print the columns in `files` as a table in Markdown. Rows with equal cells share a line."""
    columns = []
    for name in (OURS, MLX, OPENAI):
        columns.append(dict(map(json.loads, (files / f"{name}.jsonl").read_text().splitlines())))
    print("| " + " | ".join(["", *(column[""] for column in columns)]) + " |")
    print("|---" * (1 + len(columns)) + "|")
    for group, rows in ROWS.items():
        print(f"| **{group}** |" + " |" * len(columns))
        lines: dict[tuple[str, ...], list[str]] = {}
        for title in (title for title, _ in rows if title in columns[0]):
            lines.setdefault(tuple(column[title] for column in columns), []).append(title)
        for line, titles in lines.items():
            print("| " + " | ".join(["; ".join(titles), *line]) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--ours", default=sys.executable, help="Python with mlx_whisper_lora (default: this one)")
    parser.add_argument("--mlx-whisper", required=True, metavar="PYTHON", help="Python with mlx-whisper")
    parser.add_argument("--openai-whisper", required=True, metavar="PYTHON", help="Python with openai-whisper")
    parser.add_argument("--only", default="", metavar="REGEX", help="rows with a match in their title (default: all)")
    args = parser.parse_args()
    if not shutil.which("ffmpeg"):
        parser.error("ffmpeg is missing: both peers read audio with it")
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder)
        pythons = {OURS: args.ours, MLX: args.mlx_whisper, OPENAI: args.openai_whisper}

        def step(python: str, module: str, call: str) -> None:
            hub = {"HF_HUB_CACHE": str(files / "hub"), "HF_HUB_OFFLINE": "1"}
            run_in(python, f"tools.compare.{module}", call, **hub)

        step(args.ours, "files", f"make_files(Path({folder!r}))")
        step(args.openai_whisper, "files", f"make_pt(Path({folder!r}))")
        for name, python in pythons.items():
            step(python, "compare_peers", f"try_rows({name!r}, Path({folder!r}), {args.only!r})")
        print_table(files)


if __name__ == "__main__":
    main()
