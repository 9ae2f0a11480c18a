"""A small run on a few clips of people, to be tried before it is trained."""

from dataclasses import replace
from pathlib import Path

from mlx_whisper_lora.adapters.lora import LoRAConfig
from mlx_whisper_lora.data.augmentation.options import AugmentationOptions
from mlx_whisper_lora.data.dataset import build_examples
from mlx_whisper_lora.data.sources import load_clips
from mlx_whisper_lora.training.callbacks import Callback
from mlx_whisper_lora.training.options import TrainingOptions
from mlx_whisper_lora.training.run_options import RunOptions
from mlx_whisper_lora.training.trials import Recipe
from mlx_whisper_lora.whisper.assets import DEMO_CLIPS, DEMO_MODEL
from mlx_whisper_lora.whisper.checkpoints.load import load_model
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.transcription.options import TranscriptionOptions

LORA = LoRAConfig(rank=4, targets=("attn.query", "attn.value", "mlp1"))
QUICK = {"iters": 8, "batch_size": 4, "learning_rate": 0.01, "steps_per_eval": 4, "warmup": 0}
QUICK |= {"pack": 0.0, "full_context_share": 0.0, "timestamps_share": 0.0}


def load_demo() -> Whisper:
    """Return the bundled model."""
    return load_model(DEMO_MODEL)


def demo_recipe(folder: Path, **training) -> Recipe:
    """Return how to train on six of the bundled clips, of three speakers, and to validate on two of a fourth one."""
    clips = load_clips(DEMO_CLIPS)["train"][:8]
    spoken = [replace(clip, speaker=f"speaker {i // 2}") for i, clip in enumerate(clips)]
    model = load_demo()
    train_set, valid_set = (build_examples(part, model).examples for part in (spoken[:6], spoken[6:]))
    short = TranscriptionOptions(sample_len=12, temperature=0.0)
    options = RunOptions("base", adapter_file=str(folder / "a.npz"), transcription=short)
    settings = TrainingOptions(**QUICK | training)
    return Recipe(train_set, valid_set, options, settings, LORA, AugmentationOptions(), None)


class Notes(Callback):
    """Keeps the lines about trials. It may cut a run off at the first line that has a text."""

    def __init__(self, cut: str | None = None):
        self.lines: list[str] = []
        self.cut = cut

    def note(self, line: str) -> None:
        self.lines.append(line)
        if self.cut and self.cut in line:
            raise KeyboardInterrupt
