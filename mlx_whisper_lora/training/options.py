"""The options of the training loop."""

import math
from dataclasses import dataclass

from mlx_whisper_lora.whisper.audio.constants import CHUNK_LENGTH
from mlx_whisper_lora.whisper.option import check_ranges, documented, option


@documented
@dataclass(frozen=True)
class TrainingOptions:
    """The settings of training.

    Raises:
        OptionError: a value is out of range.
    """

    iters: int = option(600, "Number of training steps.", minimum=1)
    batch_size: int = option(16, "Number of clips in a step.", minimum=1)
    learning_rate: float = option(1e-3, "Largest learning rate of AdamW.", above=0)
    warmup: int = option(50, "Number of steps over which the learning rate rises from 0.", minimum=0)
    weight_decay: float = option(0.01, "Weight decay of AdamW.", minimum=0, below=math.inf)
    max_grad_norm: float = option(1.0, "Maximum gradient norm. Longer gradients are scaled to it.", above=0)
    steps_per_report: int = option(10, "Steps between reports of the training loss.", minimum=1)
    steps_per_eval: int = option(200, "Steps between evaluations on the validation clips.", minimum=1)
    audio_context: float | None = option(
        None,
        "Seconds of audio that the encoder sees in training. 0 stands for as many as the longest clip of a batch has.",
        minimum=0,
        maximum=CHUNK_LENGTH,
        metavar="SECONDS",
        shown_default="30, as Whisper was trained; 0 for the demo model, which was trained on all lengths",
    )
    seed: int = option(0, "Seed of the adapter's weights, the order of the clips and dropout.", minimum=0)

    def __post_init__(self):
        check_ranges(self)

    @property
    def context_seconds(self) -> float:
        """Seconds of audio that the encoder sees in training. 0 stands for as many as the longest clip has."""
        return CHUNK_LENGTH if self.audio_context is None else self.audio_context
