"""Read clips in the layout of LibriSpeech: folders speaker/chapter/ with FLACs and their texts in *.trans.txt.

The split is that of the folder above the speakers, such as train-clean-100 or dev-clean.
"""

from collections.abc import Iterator
from pathlib import Path

from mlx_whisper_lora.data.clip import DataError, Splits
from mlx_whisper_lora.data.sources.audio_files import find_sibling
from mlx_whisper_lora.data.sources.keyed_lines import read_keyed_lines
from mlx_whisper_lora.data.sources.options import SourceOptions
from mlx_whisper_lora.data.sources.rows import make_clips
from mlx_whisper_lora.data.sources.splits import split_in_name, split_rows
from mlx_whisper_lora.data.sources.tables import TableRow

LAYOUT = "LibriSpeech (speaker/chapter/*.trans.txt beside FLACs)"
TABLES: tuple[str, ...] = ()


def find_tables(folder: Path) -> list[Path]:
    """Return the transcripts of all chapters."""
    return sorted(folder.rglob("*.trans.txt"))


def read(folder: Path, options: SourceOptions, bad: list[DataError]) -> Splits:
    """Read the transcripts of all chapters."""
    rows = (row for table in find_tables(folder) for row in _chapter_rows(folder, table, bad))
    return split_rows(make_clips(rows, options, bad), bad)


def _chapter_rows(folder: Path, table: Path, bad: list[DataError]) -> Iterator[TableRow]:
    splits = map(split_in_name, table.relative_to(folder).parts[:-1])
    split = next(filter(None, splits), None)
    for key, row in read_keyed_lines(table, ("text",), bad).items():
        audio = find_sibling(key, table.parent, ".flac")
        yield row.with_fields(audio=audio, speaker=key.partition("-")[0], split=split)
