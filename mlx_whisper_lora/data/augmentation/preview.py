"""Write training clips before and after augmentation, to listen to them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from mlx_whisper_lora.data.augmentation.augmenter import Augmenter
from mlx_whisper_lora.data.dataset import Example
from mlx_whisper_lora.data.features import ClipFeatures
from mlx_whisper_lora.whisper.audio.constants import SAMPLE_RATE
from mlx_whisper_lora.whisper.destinations import check_folder

_CLIPS, _DRAWS = 10, 3


def write_preview(augmenter: Augmenter, examples: Sequence[Example], folder: str) -> int:
    """Write WAV files of up to ten clips: each before, and after its draws in the first three batches.

    Masks are not audible, and are missing. The files are named 01_before.wav, 01_after_1.wav and so on.

    Returns:
        The number of clips.

    Raises:
        OSError: The folder cannot be written.
        DataError: The audio of a clip cannot be decoded.
    """
    check_folder(folder)
    Path(folder).mkdir(parents=True, exist_ok=True)
    clips = [(each, each.features) for each in examples if isinstance(each.features, ClipFeatures)][:_CLIPS]
    for i, (example, features) in enumerate(clips, start=1):
        for number in range(_DRAWS):
            draw = augmenter.draw(features, augmenter.rng(example, number))
            _write(Path(folder, f"{i:02}_after_{number + 1}.wav"), draw.samples)
        _write(Path(folder, f"{i:02}_before.wav"), draw.before)
    return len(clips)


def _write(path: Path, samples: np.ndarray) -> None:
    soundfile.write(path, np.clip(samples, -1, 1), SAMPLE_RATE)
