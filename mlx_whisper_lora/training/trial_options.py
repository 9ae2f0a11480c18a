"""The options of trial runs, which show how to train before the run itself."""

from dataclasses import dataclass

from mlx_whisper_lora.whisper.option import OptionError, check_ranges, documented, option


@documented
@dataclass(frozen=True)
class TrialOptions:
    """What is tried before training.

    Raises:
        OptionError: a value is out of range, or lacks the option that it belongs to.
    """

    folds: int | None = option(
        None,
        "For few clips: deal those of training and validation into so many folds, and train once for each, validated "
        "on it, with the others. Loss, WER and CER over all clips go to adapters_folds.json. Then the adapter is "
        "trained on all clips, for the number of steps that was best.",
        minimum=2,
        maximum=100,
        metavar="N",
        shown_default="training has its clips, and validation its own",
    )
    search: int | None = option(
        None,
        "Try so many settings first, the given ones and others at random: layers, rank, dropout and learning rate. The "
        "worse half is dropped after a quarter of the steps, and again after a half. The table goes to "
        "adapters_search.json, and the adapter is trained with the best settings.",
        minimum=2,
        maximum=100,
        metavar="N",
        shown_default="training has the given settings",
    )
    search_minutes: float | None = option(
        None,
        "Minutes for the search, without the training after it. In short ones, it tries fewer settings.",
        above=0,
        maximum=1e6,
        metavar="N",
        shown_default="as many as it takes",
    )

    def __post_init__(self):
        check_ranges(self)
        if self.search_minutes is not None and self.search is None:
            raise OptionError("`search_minutes` is for a search: give `search`, the number of settings to try")
