"""Make clips of the rows of a Hugging Face data set.

A row holds the bytes of a whole recording, or its path, and a text. Of a set on disk, the bytes stay there until a clip
is decoded. Of a stream, they are written to a file of the Hub's cache, which is named by its content.
"""

import functools
import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import pyarrow.compute
from huggingface_hub import constants

from mlx_whisper_lora.data.clip import Clip, DataError
from mlx_whisper_lora.data.sources.hf_open import Rows
from mlx_whisper_lora.data.sources.hf_stream import ParquetStream
from mlx_whisper_lora.data.sources.options import LANGUAGE_COLUMNS, SPEAKER_COLUMNS, SourceOptions
from mlx_whisper_lora.data.sources.rows import is_language, make_clips
from mlx_whisper_lora.data.sources.split_expression import SplitPart
from mlx_whisper_lora.data.sources.tables import TableRow, missing_column
from mlx_whisper_lora.whisper.atomic_files import atomic_write
from mlx_whisper_lora.whisper.audio.load import StoredAudio
from mlx_whisper_lora.whisper.option import OptionError
from mlx_whisper_lora.whisper.terminal import progress_bar

_AUDIO, _TRANSLATION, _TASK = "audio", "translation", "task"
_BATCH = 1000  # rows that are read at a time; their recordings are not
_AUDIO_TYPES = ("string", "large_string", "binary", "large_binary")  # paths, or bytes


@dataclass(frozen=True)
class _Columns:
    audio: str
    fields: dict[str, str]  # by column, the names that `make_clip` knows
    guessed_language: str | None  # the column of the language, unless the user named it


def read_split(
    name: str,
    splits: Mapping[str, Rows],
    parts: Iterable[SplitPart],
    columns: SourceOptions,
    max_clips: int | None,
    bad: list[DataError],
) -> list[Clip]:
    """Read clips from parts of splits.

    Args:
        name: The name or the folder of the data set.
        splits: Its splits.
        parts: The rows to read.
        columns: The columns to read.
        max_clips: The most rows to read; None for all.
        bad: Gets an error for each row that cannot be used, which is skipped.

    Raises:
        DataError: A column is missing or holds something else, or the rows cannot be read.
        OptionError: A column that was named is missing.
    """
    rows = itertools.chain.from_iterable(_part_rows(name, splits[part.split], part, columns, bad) for part in parts)
    renamed = SourceOptions(  # the other columns have usual names
        audio_column=_AUDIO,
        translation_column=columns.translation_column and _TRANSLATION,
        task_column=columns.task_column and _TASK,
    )
    return [clip for _, clip in make_clips(itertools.islice(rows, max_clips), renamed, bad)]


def _part_rows(
    name: str, rows: Rows, part: SplitPart, options: SourceOptions, bad: list[DataError]
) -> Iterator[TableRow]:
    """Yield the rows of a part of a split, with their recordings, and the fields that `make_clip` reads.

    Messages name a row as "google/fleurs/train, row 3", counted from 0 as in the data set.
    """
    columns = _find_columns(name, rows.features, options)
    found = _streamed if isinstance(rows, ParquetStream) else _stored
    for number, recording, values in found(rows, part, columns.audio, list(columns.fields)):
        fields = {columns.fields[column]: _named(rows.features[column], values[column]) for column in columns.fields}
        if columns.guessed_language and not is_language(fields["language"]):
            del fields["language"]  # nobody can correct the data set, but `--language` can be given
        row = TableRow(Path(name, part.split), number, fields | {_AUDIO: recording}, unit="row")
        if recording is None:
            bad.append(row.error(f"{columns.audio!r} holds neither a recording nor a path"))
        else:
            yield row


def _stored(
    rows: datasets.Dataset, part: SplitPart, audio: str, others: list[str]
) -> Iterator[tuple[int, StoredAudio | str | None, dict[str, Any]]]:
    """Yield the number, the recording and the other values of rows, and leave the bytes of the recordings on disk."""
    wanted = range(len(rows))[part.rows(rows.__len__)]
    number = wanted.start
    rows = rows.select_columns([audio, *others]).cast_column(audio, datasets.Audio(decode=False))
    recordings = rows.select_columns([audio])
    for batch in rows.select(wanted).with_format("arrow").iter(_BATCH):
        paths = pyarrow.compute.struct_field(batch[audio], "path").to_pylist()
        without = pyarrow.compute.is_null(pyarrow.compute.struct_field(batch[audio], "bytes")).to_pylist()
        for path, is_path, values in zip(paths, without, batch.drop_columns(audio).to_pylist(), strict=True):
            name = Path(path).name if path else f"row {number}"
            stored = StoredAudio(name, functools.partial(_read_bytes, recordings, audio, number))
            yield number, path if is_path else stored, values
            number += 1


def _read_bytes(recordings: datasets.Dataset, audio: str, number: int) -> bytes:
    return recordings[number][audio]["bytes"]


def _streamed(
    rows: ParquetStream, part: SplitPart, audio: str, others: list[str]
) -> Iterator[tuple[int, str | None, dict[str, Any]]]:
    """Yield the number, the recording and the other values of rows. The recordings are written to files."""
    wanted = part.rows(rows.count)
    stream = rows.read([audio, *others], wanted)
    bar = progress_bar(stream, "Streaming clips", unit="clip")
    for number, values in enumerate(bar, start=wanted.start):
        found = values.pop(audio) or {}
        if not isinstance(found, dict):
            found = {"path" if isinstance(found, str) else "bytes": found}
        data, path = found.get("bytes"), found.get("path")
        yield number, _keep(data, path) if data else path, values


def _keep(data: bytes, path: str | None) -> str:
    """Write a recording to a file of the Hub's cache, unless it is there. Return the path of the file."""
    digest = hashlib.sha256(data).hexdigest()
    file = Path(constants.HF_HOME, "mlx_whisper_lora", digest[:2], digest + Path(path or "").suffix)
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(file, "wb") as opened:
            opened.write(data)
    return str(file)


def _find_columns(name: str, features: Mapping[str, Any], options: SourceOptions) -> _Columns:
    """Return the columns that the options name, or else those of the usual names."""
    found = f"found {', '.join(features) or 'no columns'}"
    text_option = options.text_option
    named = ("audio_column", text_option, "translation_column", "language_column", "speaker_column", "task_column")
    for option in named:
        column = getattr(options, option)
        if column is not None and column not in features:
            raise OptionError(f"`{option}` is {column!r}, but {name} has no such column; {found}")
    typed = (column for column, feature in features.items() if isinstance(feature, datasets.Audio))
    audio = options.audio_column or next(typed, _AUDIO if _AUDIO in features else None)
    if audio is None:
        raise DataError(f"{name}: no column of audio; {found}; give its name as --audio-column")
    if not _holds_audio(features[audio]):
        raise DataError(f"{name}: the column {audio!r} holds {features[audio]}, not recordings; give --audio-column")
    given_text = getattr(options, text_option)
    texts = {given_text: "text"} if given_text else _same(options.text_columns, features)
    if options.translation_column:
        texts = {options.translation_column: _TRANSLATION}
    if not texts:
        raise DataError(
            f"{name}: {missing_column(text_option.removesuffix('_column'), options.text_columns, features)}"
        )
    language = options.language_column or next(iter(_same(LANGUAGE_COLUMNS, features)), None)
    speakers = {options.speaker_column: "speaker"} if options.speaker_column else _same(SPEAKER_COLUMNS, features)
    fields = texts | speakers | ({language: "language"} if language else {})
    if options.task_column:
        fields[options.task_column] = _TASK
    return _Columns(audio, fields, None if options.language_column else language)


def _same(names: Iterable[str], features: Mapping[str, Any]) -> dict[str, str]:
    return {name: name for name in names if name in features}


def _holds_audio(feature: Any) -> bool:
    """Return whether a column of this type can hold recordings: their bytes, their paths, or both."""
    if isinstance(feature, Mapping):
        return "array" not in feature and bool({"bytes", "path"} & set(feature))
    return isinstance(feature, datasets.Audio) or getattr(feature, "dtype", None) in _AUDIO_TYPES


def _named(feature: Any, value: Any) -> Any:
    """Return a value of a column of this type; of a column of classes, the name of the class."""
    is_class = isinstance(feature, datasets.ClassLabel) and value is not None and value >= 0
    return feature.int2str(value) if is_class else value
