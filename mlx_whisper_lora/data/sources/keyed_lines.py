"""Read tables without a header, each line of which starts with an id: those of LibriSpeech, Kaldi and LJSpeech."""

from pathlib import Path

from mlx_whisper_lora.data.clip import DataError
from mlx_whisper_lora.data.sources.tables import TableRow, is_text, read_text


def read_keyed_lines(
    table: Path, columns: tuple[str, ...], bad: list[DataError], separator: str | None = None
) -> dict[str, TableRow]:
    """Read a table of lines such as "84-121123-0000 GO DO YOU HEAR".

    Args:
        table: The file.
        columns: The names of the fields after the id. The last one takes the rest of the line. The first one is empty
            if the line ends with the id; rows lack the others that their lines lack.
        bad: Gets an error for each line whose id is another line's too.
        separator: The mark between fields; None for spaces.

    Returns:
        The rows by their ids, in the order of the lines.

    Raises:
        DataError: The file is not UTF-8.
    """
    rows: dict[str, TableRow] = {}
    for number, line in enumerate(read_text(table).split("\n"), start=1):
        if not line.strip():
            continue
        key, *values = map(str.strip, line.split(separator, len(columns)))
        row = TableRow(table, number, dict(zip(columns, values or [""], strict=False)))
        if key in rows:
            bad.append(row.error(f"line {rows[key].line} has the id {key!r} too; give each line an id of its own"))
        elif is_text(row, bad):
            rows[key] = row
    return rows
