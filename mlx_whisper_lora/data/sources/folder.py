"""Where clips and their texts come from: a folder of recordings with a table, in one of two layouts.

1. `train.jsonl`, `valid.jsonl`, `test.jsonl`: each line an object with `audio` (a path from the file on) and `text`.
2. `metadata.jsonl` or `metadata.csv` with `file_name` and a text column, the Hugging Face audiofolder convention.
   Splits are subfolders (train, validation, test) with a table each or named in one, a `split` column, or random.

A `language` column, where there is one, gives each clip's language.
"""

import csv
import json
import random
from collections.abc import Iterator
from os import PathLike
from pathlib import Path

from mlx_whisper_lora.data.clip import SPLITS, Clip, DataError
from mlx_whisper_lora.whisper.text.tokenizer import language_code

SPLIT_NAMES = {split: split for split in SPLITS} | {"validation": "valid", "val": "valid", "dev": "valid"}
TABLES = ("metadata.jsonl", "metadata.csv")
TEXT_COLUMNS = ("text", "transcription", "transcript", "sentence")
VALID_SHARE = TEST_SHARE = 0.1


def load_clips(folder: str | PathLike, seed: int = 0) -> dict[str, list[Clip]]:
    """The clips of a data folder by split: "train", "valid" and "test", each possibly empty.

    Raises DataError when there is no table, or a row lacks a column or its recording, or is not readable.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such data folder")
    if any((folder / f"{split}.jsonl").exists() for split in SPLITS):
        return {split: _read_split(folder / f"{split}.jsonl") for split in SPLITS}
    if table := _table_in(folder):
        return _split_table(table, seed)
    clips: dict[str, list[Clip]] = {split: [] for split in SPLITS}
    for name, split in SPLIT_NAMES.items():
        if table := _table_in(folder / name):
            clips[split] += [_clip(table, line, row, "file_name") for line, row in _rows(table)]
    if not any(clips.values()):
        raise DataError(f"{folder}: no clips; expected train.jsonl, metadata.jsonl or metadata.csv (see README.md)")
    return clips


def _read_split(path: Path) -> list[Clip]:
    return [_clip(path, line, row, "audio") for line, row in _rows(path)] if path.exists() else []


def _table_in(folder: Path) -> Path | None:
    return next((folder / name for name in TABLES if (folder / name).exists()), None)


def _split_table(table: Path, seed: int) -> dict[str, list[Clip]]:
    """Split by the `split` column or by subfolder; without, a tenth each to validation and test, drawn by `seed`."""
    rows = [(_clip(table, line, row, "file_name"), _named_split(row), line) for line, row in _rows(table)]
    clips: dict[str, list[Clip]] = {split: [] for split in SPLITS}
    if any(split for _, split, _ in rows):
        for clip, split, line in rows:
            if split not in SPLIT_NAMES:
                raise DataError(f"{table}, line {line}: split is {split!r}; expected train, valid or test")
            clips[SPLIT_NAMES[split]].append(clip)
        return clips
    order = [clip for clip, _, _ in rows]
    random.Random(seed).shuffle(order)
    at_least = min(len(order) // 3, 1)
    n_valid, n_test = (max(round(len(order) * share), at_least) for share in (VALID_SHARE, TEST_SHARE))
    clips["valid"], clips["test"] = order[:n_valid], order[n_valid : n_valid + n_test]
    clips["train"] = order[n_valid + n_test :]
    return clips


def _named_split(row: dict) -> str | None:
    """The split that a row's `split` column names, or the first folder of its file name where that is a split's."""
    if row.get("split"):
        return str(row["split"])
    folder = Path(row["file_name"]).parts[0]
    return folder if folder in SPLIT_NAMES else None


def _rows(path: Path) -> Iterator[tuple[int, dict]]:
    """Line number and fields of each row of a JSON-lines or CSV table."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            if path.suffix == ".csv":
                reader = csv.DictReader(file)
                yield from ((reader.line_num, row) for row in reader)
                return
            for line, text in enumerate(file, start=1):
                if text.strip():
                    row = json.loads(text)
                    if not isinstance(row, dict):
                        raise DataError(f"{path}, line {line}: expected a JSON object, found {text.strip()[:40]}")
                    yield line, row
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from None
    except json.JSONDecodeError as error:
        raise DataError(f"{path}, line {line}: not JSON ({error.msg})") from None
    except csv.Error as error:
        raise DataError(f"{path}: not a CSV table ({error})") from None


def _clip(table: Path, line: int, row: dict, audio_column: str) -> Clip:
    where = f"{table}, line {line}"
    name = row.get(audio_column)
    if not isinstance(name, str) or not name:
        raise DataError(f"{where}: no {audio_column!r} column; found {_columns(row)}")
    text_column = next((column for column in TEXT_COLUMNS if column in row), None)
    if text_column is None:
        raise DataError(f"{where}: no text column (one of {', '.join(TEXT_COLUMNS)}); found {_columns(row)}")
    text = row[text_column]
    if not isinstance(text, str):
        raise DataError(f"{where}: {text_column!r} should be text, found {'nothing' if text is None else repr(text)}")
    audio = table.parent / name
    if not audio.is_file():
        raise DataError(f"{where}: there is no recording {audio}")
    language = row.get("language") or None
    try:
        return Clip(audio, text.strip(), language_code(language) if language else None)
    except (ValueError, AttributeError):
        raise DataError(f"{where}: language is {language!r}, which Whisper does not know") from None


def _columns(row: dict) -> str:
    return ", ".join(str(column) for column in row if column is not None) or "nothing"
