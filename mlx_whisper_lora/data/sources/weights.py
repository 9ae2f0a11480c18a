"""Data folders with weights: `telugu:2` beside `hindi` draws the clips of telugu twice as often in training."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from mlx_whisper_lora.data.clip import Splits
from mlx_whisper_lora.data.sources.hf_options import HubDataOptions
from mlx_whisper_lora.whisper.assets import DEMO_CLIPS
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


def data_folders(data: str | Sequence[str] | None, hub: HubDataOptions) -> list[WeightedFolder]:
    """Return the data folders that options name, and the names of data sets; or the bundled clips, if they name none.

    Raises:
        OptionError: A weight is wrong, or there is a data set in both places.
    """
    if data is not None and hub.hf_dataset is not None:
        raise OptionError("`data` and `hf_dataset` exclude each other: give one of them")
    given = hub.hf_dataset if data is None else data
    if given is None:
        return [WeightedFolder(str(DEMO_CLIPS), 1)]
    return [parse_weighted(each) for each in ([given] if isinstance(given, str) else given)]
