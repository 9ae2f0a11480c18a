"""What a run trains a model for: transcripts, or classes (`classifying.py`)."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from mlx_whisper_lora.data.dataset import Example
from mlx_whisper_lora.data.packing import Packer
from mlx_whisper_lora.training.distributed import World
from mlx_whisper_lora.training.encoder_cache import BatchLoss
from mlx_whisper_lora.training.evaluation import Evaluation, clip_loss, evaluate
from mlx_whisper_lora.training.loss import TranscriptLoss
from mlx_whisper_lora.training.options import TrainingOptions
from mlx_whisper_lora.training.results import Result
from mlx_whisper_lora.training.run_options import RunOptions
from mlx_whisper_lora.whisper.audio.constants import CHUNK_LENGTH
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.transcription.options import temperature_fallback


class Objective(Protocol):
    """What a run trains a model for."""

    @property
    def loss(self) -> BatchLoss:
        """The loss of a batch."""
        ...

    def evaluate(self, model: Whisper, examples: Sequence[Example], description: str) -> Result:
        """Return how well a model with an adapter does on validation clips."""

    def evaluate_base(self, model: Whisper, examples: Sequence[Example], description: str) -> Result:
        """Return what an adapter has to beat."""

    def clip_loss(self, model: Whisper, example: Example) -> float:
        """Return the loss of one clip, in nats per target. Raise DataError if it cannot be used."""

    def packer(self, model: Whisper, train_set: Sequence[Example]) -> Packer | None:
        """Return what draws windows of several clips, if there are some."""


class Transcribing:
    """Training for transcripts.

    Args:
        options: say how validation clips are transcribed.
        training: the windows, and the loss.
        world: the processes that share the work.
    """

    def __init__(self, options: RunOptions, training: TrainingOptions, world: World):
        self.options, self.training, self.world = options, training, world
        self.loss = TranscriptLoss(training.label_smoothing)

    def evaluate(self, model: Whisper, examples: Sequence[Example], description: str) -> Evaluation:
        """Transcribe validation clips as in a test, but at the first temperature alone.

        An untrained model fails most windows of a language that it does not know, and would sample each of them up to
        25 times.
        """
        first = temperature_fallback(self.options.transcription)[0].temperature
        return evaluate(
            model,
            examples,
            replace(self.options.transcription, temperature=first),
            description=description,
            normalizer=self.options.normalizer,
            world=self.world,
        )

    def evaluate_base(self, model: Whisper, examples: Sequence[Example], description: str) -> Evaluation:
        """Transcribe validation clips with the base."""
        return self.evaluate(model, examples, description)

    def clip_loss(self, model: Whisper, example: Example) -> float:
        """Return the loss of a label token of one clip."""
        return clip_loss(model, example)

    def packer(self, model: Whisper, train_set: Sequence[Example]) -> Packer | None:
        """Return what draws windows of several clips, if the training options ask for them."""
        if not self.training.pack:
            return None
        return Packer(
            train_set,
            model,
            self.options.task or "transcribe",
            seconds=self.training.audio_context or CHUNK_LENGTH,
            max_tokens=self.options.transcription.sample_len,
            timestamps_share=self.training.timestamps_share,
        )
