"""Data folders with weights: `telugu:2` beside `hindi` draws the clips of telugu twice as often in training."""

import re
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from mlx_whisper_lora.data.clip import Splits
from mlx_whisper_lora.whisper.option import OptionError


class WeightedFolder(NamedTuple):
    """A data folder, and how often an epoch has each of its training clips."""

    folder: str
    weight: int

    def weigh(self, splits: Splits) -> Splits:
        """Return the clips with the weight of the folder in the training split."""
        return splits | {"train": [replace(clip, weight=self.weight) for clip in splits["train"]]}


def parse_weighted(data: str) -> WeightedFolder:
    """Parse a data folder with or without a weight: "telugu:2".

    Raises:
        OptionError: The weight is not a whole number from 1.
    """
    folder, _, weight = data.rpartition(":")
    if not folder or not re.fullmatch(r"-?[0-9.]{1,9}", weight) or Path(data).exists():
        return WeightedFolder(data, 1)
    if not weight.isdecimal() or int(weight) < 1:
        raise OptionError(f"`data` {data} has the weight {weight}; a weight is a whole number from 1")
    return WeightedFolder(folder, int(weight))
