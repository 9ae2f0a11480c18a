"""A Hugging Face data set of real speech, as a folder and as a repository."""

import io
from collections.abc import Sequence
from pathlib import Path

import soundfile

from mlx_whisper_lora.data.clip import Clip
from mlx_whisper_lora.data.sources import load_clips
from mlx_whisper_lora.whisper.assets import DEMO_CLIPS
from mlx_whisper_lora.whisper.audio.constants import SAMPLE_RATE
from mlx_whisper_lora.whisper.audio.load import load_audio

SPLITS = {"train": 6, "validation": 2, "test": 2}  # and the number of clips of each


def demo_clips() -> dict[str, list[Clip]]:
    """Return the clips that the data set is made of. Their recordings are the bytes of FLAC files."""
    clips = iter(load_clips(DEMO_CLIPS)["test"])
    return {split: [_as_flac(next(clips)) for _ in range(count)] for split, count in SPLITS.items()}


def _as_flac(clip: Clip) -> Clip:
    file = io.BytesIO()
    soundfile.write(file, load_audio(clip.audio, start=clip.start, end=clip.end), SAMPLE_RATE, format="FLAC")
    return Clip(file.getvalue(), clip.text, "en", speaker="7")


def make_rows(clips: Sequence[Clip], **others):
    """Return clips as the rows of a data set. `others` are columns with one value for all rows, or replace those."""
    import datasets

    columns = {
        "id": list(range(len(clips))),
        "audio": [{"bytes": clip.audio, "path": f"{i}.flac"} for i, clip in enumerate(clips)],
        "transcription": [clip.text for clip in clips],
        "language": ["English"] * len(clips),
        "speaker_id": [7] * len(clips),
    } | {name: [value] * len(clips) for name, value in others.items()}
    return datasets.Dataset.from_dict(columns).cast_column("audio", datasets.Audio())


def write_parquet(folder: Path, clips: dict[str, list[Clip]], **others) -> Path:
    """Write the rows of each split to a Parquet file of its own. Return the folder."""
    folder.mkdir(parents=True)
    for split, found in clips.items():
        make_rows(found, **others).to_parquet(folder / f"{split}-00000-of-00001.parquet")
    return folder


def write_repository(folder: Path, clips: dict[str, list[Clip]], names: Sequence[str] = ("te_in", "en_us")) -> Path:
    """Write the files of a repository with several configurations of the same rows. Return the folder."""
    lines = ["---", "configs:"]
    for name in names:
        write_parquet(folder / name, clips)
        lines += [f"- config_name: {name}", "  data_files:"]
        lines += [f"  - split: {split}\n    path: {name}/{split}-*" for split in clips]
    (folder / "README.md").write_text("\n".join([*lines, "---", ""]))
    return folder
