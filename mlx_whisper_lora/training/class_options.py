"""The options of training for classes."""

from dataclasses import dataclass

from mlx_whisper_lora.adapters.classifier import HEADS
from mlx_whisper_lora.data.classes import BALANCES
from mlx_whisper_lora.training.class_evaluation import CLASS_SCORES
from mlx_whisper_lora.training.options import TrainingOptions
from mlx_whisper_lora.whisper.option import check_ranges, documented, option


@documented
@dataclass(frozen=True)
class ClassOptions:
    """How classes are distinguished, and how often each is trained.

    Raises:
        OptionError: a value is out of range.
    """

    head: str = option(
        "attention",
        f"What gives the scores of the classes. {'; '.join(f'{name}: {about}' for name, about in HEADS.items())}.",
        choices=tuple(HEADS),
    )
    balance: str = option(
        "sampling",
        "How rare classes get as much say as frequent ones. sampling: their clips are drawn more often; weights: their "
        "losses count more; none: they do not.",
        choices=BALANCES,
    )
    clips_per_class: int | None = option(
        None,
        "Most training clips of each class, chosen at random, such as to see what more clips would bring.",
        minimum=1,
        metavar="N",
        shown_default="all",
    )

    def __post_init__(self):
        check_ranges(self)


@documented
@dataclass(frozen=True)
class ClassTrainingOptions(TrainingOptions):
    """The settings of training for classes. Windows hold one clip.

    Raises:
        OptionError: a value is out of range.
    """

    best_by: str = option(
        CLASS_SCORES[0],
        "What the best adapter is chosen by, on the validation clips.",
        choices=(*CLASS_SCORES, "loss"),
    )
    pack: float = 0.0
    full_context_share: float = 0.0
    timestamps_share: float = 0.0
