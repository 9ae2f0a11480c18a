"""The command line of `merge`."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from mlx_whisper_lora.adapters.open import ADAPTER_HELP
from mlx_whisper_lora.cli.options import CommandParser, add_options
from mlx_whisper_lora.whisper.checkpoints.hub import MODEL_HELP
from mlx_whisper_lora.whisper.option import OptionError, documented, option

DESCRIPTION = """\
Merge LoRA adapters of one base into one. The update of each layer becomes the weighted sum of the adapters' updates.
The result is exact. Its rank is the sum of their ranks.
"""
EXAMPLES = """\
examples:
  the mean of two adapters, such as of two voices
    python -m mlx_whisper_lora.merge --adapter-file anna.npz:0.5 --adapter-file ben.npz:0.5

  an adapter of PEFT, weaker, on top of another one
    python -m mlx_whisper_lora.merge --adapter-file telugu.npz --adapter-file medicine_peft:0.3 --save-path both.npz

Afterwards: python -m mlx_whisper_lora.transcribe --adapter-file merged.npz --audio x.wav
"""


class WeightedAdapter(NamedTuple):
    """The name of an adapter, and the factor of its update."""

    name: str
    weight: float


@documented
@dataclass(frozen=True)
class MergeOptions:
    """The adapters, their base, and the file for the result."""

    adapter_file: Sequence[str] = option(
        (),
        f"An adapter, and after a colon the factor of its update; give it for each. An adapter is {ADAPTER_HELP}.",
        metavar="ADAPTER",
        repeats=True,
        shown_default="a factor of 1",
    )
    model: str | None = option(None, f"The base: {MODEL_HELP}.", shown_default="the base that the adapters name")
    save_path: str = option("merged.npz", "File for the merged adapter.", metavar="FILE")

    def __post_init__(self):
        if len(self.adapters) < 2:
            raise OptionError("nothing to merge: give `adapter_file` at least twice")

    @property
    def adapters(self) -> list[WeightedAdapter]:
        """The adapters with their weights."""
        return [_parse_weighted(each) for each in self.adapter_file]


def _parse_weighted(text: str) -> WeightedAdapter:
    """Parse an adapter with or without a weight: "a.npz:0.5".

    Raises:
        OptionError: the weight is not a finite number.
    """
    name, _, weight = text.rpartition(":")
    if not name or not re.fullmatch(r"[-+.0-9eE]+", weight) or Path(text).exists():
        return WeightedAdapter(text, 1.0)
    try:
        number = float(weight)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise OptionError(f"`adapter_file` {text}: its weight {weight} is not a number")
    return WeightedAdapter(name, number)


def build_merge_parser() -> CommandParser:
    parser = CommandParser("mlx_whisper_lora.merge", DESCRIPTION, EXAMPLES)
    add_options(parser, MergeOptions)
    return parser
