"""Read clips in the layout of LJSpeech: metadata.csv with lines such as `LJ001-0001|text|normalized text`, and wavs/.

The texts are those with numbers and abbreviations as they are written, as Whisper writes them. The flag
`--text-column normalized` takes the others.
"""

from pathlib import Path

from mlx_whisper_lora.data.clip import DataError, Splits
from mlx_whisper_lora.data.sources.audio_files import find_sibling
from mlx_whisper_lora.data.sources.keyed_lines import read_keyed_lines
from mlx_whisper_lora.data.sources.options import SourceOptions
from mlx_whisper_lora.data.sources.rows import make_clips
from mlx_whisper_lora.data.sources.splits import split_rows

LAYOUT = "LJSpeech (metadata.csv with id|text, and wavs/)"
TABLES: tuple[str, ...] = ()  # metadata.csv belongs to another layout too
_COLUMNS = ("text", "normalized")


def find_tables(folder: Path) -> list[Path]:
    """Return metadata.csv if its first line is divided by | and recordings are in wavs/."""
    table = folder / "metadata.csv"
    if not table.is_file() or not (folder / "wavs").is_dir():
        return []
    with table.open("rb") as file:
        return [table] if b"|" in file.readline(10_000) else []


def read(folder: Path, options: SourceOptions, bad: list[DataError]) -> Splits:
    """Read the table. The content of the clips decides their splits."""
    (table,) = find_tables(folder)
    rows = read_keyed_lines(table, _COLUMNS, bad, separator="|")
    named = [row.with_fields(audio=find_sibling(f"wavs/{key}", folder, ".wav")) for key, row in rows.items()]
    return split_rows(make_clips(named, options, bad), bad)
