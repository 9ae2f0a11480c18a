"""TODO."""

import math
from dataclasses import dataclass, field

from mlx_whisper_lora.whisper.audio.constants import CHUNK_LENGTH


@dataclass
class TrainingOptions:
    """Options of `train`; `help` is what the command line says of each. Raises ValueError for a value out of range."""

    iters: int = field(default=600, metadata={"help": "Training steps."})
    batch_size: int = field(default=16, metadata={"help": "Clips a step."})
    learning_rate: float = field(default=1e-3, metadata={"help": "AdamW's largest learning rate."})
    warmup: int = field(default=50, metadata={"help": "Steps over which the learning rate rises from 0."})
    weight_decay: float = field(default=0.01, metadata={"help": "AdamW's weight decay."})
    max_grad_norm: float = field(default=1.0, metadata={"help": "Longer gradients are shortened to this norm."})
    steps_per_report: int = field(default=10, metadata={"help": "Steps between reports of the training loss."})
    steps_per_eval: int = field(default=200, metadata={"help": "Steps between evaluations on the validation clips."})
    audio_context: float = field(
        default=30.0,
        metadata={"help": "Seconds of sound that the encoder sees in training; 0: as many as a batch's longest clip."},
    )
    seed: int = field(default=0, metadata={"help": "Seed of the weights, the order of the clips and dropout."})

    def __post_init__(self):
        for name in ("iters", "batch_size", "steps_per_report", "steps_per_eval"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("learning_rate", "max_grad_norm"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        for name in ("warmup", "weight_decay", "seed"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")
        if not 0 <= self.audio_context <= CHUNK_LENGTH:
            raise ValueError(f"audio_context must be from 0 to {CHUNK_LENGTH} seconds, got {self.audio_context}")
