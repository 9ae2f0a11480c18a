"""Stream the rows of Parquet files, on disk or on the Hub, with memory for a row group, which is often 100 rows.

pyarrow reads them in the thread that asks. Its own threads would outlive a stream that is left early, and hang or crash
Python when it ends.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
from huggingface_hub import HfFileSystem
from pyarrow.parquet import ParquetFile

from mlx_whisper_lora.data.clip import DataError
from mlx_whisper_lora.data.sources.hf_errors import READ_ERRORS, reason_of

_ROWS = 8  # that become Python objects at a time
_BUFFER = 2**20  # bytes of a column that are read at a time; by default, all that it has in a row group
_ON_THE_HUB = "hf://"


@dataclass(frozen=True)
class ParquetStream:
    """The rows of a split."""

    files: Sequence[str]  # paths, or addresses such as hf://datasets/google/fleurs@main/te_in/train.parquet
    features: datasets.Features  # the types of the columns

    def count(self) -> int:
        """Return the number of rows. Only the end of each file is downloaded."""
        total = 0
        for name in self.files:
            with _opened(name) as file:
                total += file.metadata.num_rows
        return total

    def read(self, columns: list[str], rows: slice) -> Iterator[dict[str, Any]]:
        """Yield the values of rows, by column. Row groups before the first of them are not downloaded.

        Args:
            columns: The columns to read.
            rows: The first row, and the one after the last or None.

        Raises:
            DataError: A file cannot be read.
        """
        first, stop = rows.start, rows.stop
        for name in self.files:
            if stop is not None and stop <= 0:
                return
            with _opened(name) as file:
                for group in range(file.num_row_groups):
                    size = file.metadata.row_group(group).num_rows
                    if first < size:
                        yield from _read_group(file, group, columns, first, stop)
                    first, stop = max(first - size, 0), None if stop is None else stop - size


def open_stream(files: Sequence[str]) -> ParquetStream:
    """Open the Parquet files of a split. The types of the columns are those of the first file.

    Raises:
        DataError: The file cannot be read.
    """
    with _opened(files[0]) as file:
        return ParquetStream(files, datasets.Features.from_arrow_schema(file.schema_arrow))


@contextlib.contextmanager
def _opened(name: str) -> Iterator[ParquetFile]:
    try:
        with (
            HfFileSystem().open(name, "rb") if name.startswith(_ON_THE_HUB) else Path(name).open("rb") as file,
            ParquetFile(file, buffer_size=_BUFFER) as opened,
        ):
            yield opened
    except READ_ERRORS as error:
        raise DataError(f"{name}: the file cannot be read ({reason_of(error)})") from None


def _read_group(
    file: ParquetFile, group: int, columns: list[str], first: int, stop: int | None
) -> Iterator[dict[str, Any]]:
    """Yield rows `first` to `stop` (None: to the end) of a row group."""
    position = 0
    for batch in file.iter_batches(_ROWS, [group], columns, use_threads=False):
        if stop is not None and stop <= position:
            return
        yield from batch[max(first - position, 0) : None if stop is None else stop - position].to_pylist()
        position += len(batch)
