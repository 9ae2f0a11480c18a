"""The files of an explanation: a picture of each map, the audio that masks keep, and the page."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import soundfile

from mlx_whisper_lora.data.clip import Clip
from mlx_whisper_lora.explanation.explain import Explanation
from mlx_whisper_lora.explanation.kept_audio import kept_audio
from mlx_whisper_lora.explanation.options import MASK
from mlx_whisper_lora.explanation.page import write_page
from mlx_whisper_lora.explanation.pictures import draw_map
from mlx_whisper_lora.whisper.atomic_files import atomic_path, atomic_write
from mlx_whisper_lora.whisper.audio.constants import SAMPLE_RATE

_LONGEST = 40  # letters of a file name that come from a target


def write_files(
    stem: Path, clip: Clip, samples: np.ndarray, explanation: Explanation, lines: Sequence[str]
) -> Iterator[Path]:
    """Write the files of an explanation, and yield the path of each.

    Args:
        stem: the folder, and how the names of the files begin.
        clip: the clip that is explained.
        samples: its samples at 16 kHz.
        explanation: of the clip.
        lines: what the page says first.
    """
    kept: dict[str, Clip] = {}
    for each in explanation.maps:
        path = stem.with_name(f"{stem.name}.{_file_name(each.target)}.{each.method}.png")
        with atomic_path(path) as temporary:
            draw_map(temporary, explanation.mel, each, explanation.words)
        yield path
        if each.method == MASK:
            path = path.with_suffix(".wav")
            with atomic_path(path) as temporary:
                soundfile.write(temporary, kept_audio(samples, each.values), SAMPLE_RATE)
            kept[each.target] = Clip(path, each.target)
            yield path
    path = stem.with_name(f"{stem.name}.html")
    with atomic_write(path) as file:
        write_page(file, clip, explanation, kept, lines)
    yield path


def _file_name(target: str) -> str:
    """Return a target as a part of a file name: "3 don't" -> "3-don-t"."""
    return re.sub(r"\W+", "-", target).strip("-")[:_LONGEST]
