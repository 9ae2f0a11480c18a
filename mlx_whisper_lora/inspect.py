"""Inspect clips before they are trained on: `python -m mlx_whisper_lora.inspect`."""

import argparse
import json
from typing import NoReturn

from mlx_whisper_lora.cli.inspect_options import InspectOptions, build_parser
from mlx_whisper_lora.cli.options import from_args
from mlx_whisper_lora.cli.run import run_command
from mlx_whisper_lora.data.clip import SPLITS, DataError, Splits
from mlx_whisper_lora.data.inspection.inspect import inspect_clips
from mlx_whisper_lora.data.inspection.page import write_page
from mlx_whisper_lora.data.inspection.summary import finding_lines, summary_lines, to_json
from mlx_whisper_lora.data.sources import check_options_used, load_clips
from mlx_whisper_lora.data.sources.hf_options import HubDataOptions
from mlx_whisper_lora.data.sources.options import SourceOptions
from mlx_whisper_lora.training.mismatch import find_mismatches
from mlx_whisper_lora.whisper.atomic_files import atomic_write
from mlx_whisper_lora.whisper.checkpoints.load import load_model
from mlx_whisper_lora.whisper.destinations import check_file
from mlx_whisper_lora.whisper.terminal import say
from mlx_whisper_lora.whisper.text.tokenizer import get_tokenizer

__all__ = ["build_parser", "cli", "main"]


def main(args: argparse.Namespace) -> None:
    """Inspect the clips of a command line, print what was found, and write it to files."""
    options = from_args(
        InspectOptions, args, sources=from_args(SourceOptions, args), hub=from_args(HubDataOptions, args)
    )
    for path in filter(None, (options.json, options.html)):
        check_file(path)
    bad: list[DataError] = []
    splits = _load_clips(options, bad)
    model = load_model(options.model) if options.model else None
    tokenizer = model.tokenizer() if model else get_tokenizer(multilingual=True)
    inspection = inspect_clips(
        ", ".join(each.folder for each in options.folders), splits, bad, tokenizer, options.language
    )
    if model:
        inspection = inspection.add(find_mismatches(model, inspection.clips, options.suspects, options.max_clips))
    for line in (*summary_lines(inspection), *finding_lines(inspection.findings)):
        say(line)
    if options.json:
        with atomic_write(options.json) as file:
            json.dump(to_json(inspection), file, ensure_ascii=False, indent=1)
        say(f"Measures and findings: {options.json}")
    if options.html:
        with atomic_write(options.html) as file:
            write_page(inspection, file)
        say(f"Page with players: {options.html}")


def _load_clips(options: InspectOptions, bad: list[DataError]) -> Splits:
    """Return the clips of all data folders, and say which they are."""
    splits: Splits = {split: [] for split in SPLITS}
    for each in options.folders:
        for split, clips in load_clips(each.folder, bad, options.sources, options.hub).items():
            splits[split] += clips
    check_options_used([each.folder for each in options.folders], options.sources, options.hub)
    for each in options.folders:
        say(f"Clips in {each.folder}{' (bundled; --data gives others)' if options.bundled else ''}")
    return splits


def cli() -> NoReturn:
    run_command(main, build_parser())


if __name__ == "__main__":
    cli()
