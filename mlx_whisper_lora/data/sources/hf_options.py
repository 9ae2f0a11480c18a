"""Which part of a Hugging Face data set is read, and how."""

from dataclasses import dataclass, fields

from mlx_whisper_lora.data.sources.split_expression import parse_split
from mlx_whisper_lora.whisper.option import check_ranges, documented, option

_SPLIT = "a split of the data set, a part of one, such as train[:80%] or test[100:200], or several with + between them"


@documented
@dataclass(frozen=True)
class HubDataOptions:
    """A Hugging Face data set: its name, its language, its splits, and whether it is streamed."""

    hf_dataset: str | None = option(
        None,
        "Hugging Face data set, as owner/name or owner/name@revision. Needs the extra 'hf'.",
        metavar="NAME",
        shown_default="the one that --data names",
        instead_of="data",
    )
    hf_dataset_lang: str | None = option(
        None,
        "Configuration of the data set; many have one for each language, such as te_in.",
        metavar="NAME",
        shown_default="the only one",
    )
    hf_streaming: bool = option(
        False,
        "Read the data set clip by clip, without a download of all of it. The recordings of the clips are kept in the "
        "Hub's cache.",
    )
    hf_max_clips: int | None = option(
        None, "Most clips to take of each split, from its start.", minimum=1, shown_default="all"
    )
    train_split: str | None = option(
        None, f"The clips to train on: {_SPLIT}.", metavar="SPLIT", shown_default="the split train"
    )
    valid_split: str | None = option(
        None,
        "The clips to validate on, likewise.",
        metavar="SPLIT",
        shown_default="the split validation, valid, val or dev, unless another option names it",
    )
    test_split: str | None = option(
        None,
        "The clips to test on, likewise.",
        metavar="SPLIT",
        shown_default="the split test, unless another option names it",
    )

    def __post_init__(self):
        check_ranges(self)
        for name in ("train_split", "valid_split", "test_split"):
            if getattr(self, name) is not None:
                parse_split(getattr(self, name), name)

    @property
    def given(self) -> list[str]:
        """The names of the options that were given, but for the name of the data set."""
        names = [each.name for each in fields(self) if getattr(self, each.name) != each.default]
        return [name for name in names if name != "hf_dataset"]
