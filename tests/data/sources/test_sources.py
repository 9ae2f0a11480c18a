"""Data folders: their layouts, splits, times and faults."""

import csv
import json

import pytest

from mlx_whisper_lora.data.clip import Clip, DataError
from mlx_whisper_lora.data.content import split_by_content
from mlx_whisper_lora.data.sources import load_clips
from tests.support.clips import write_clips, write_jsonl
from tests.support.processes import ROOT


def texts(clips: dict[str, list[Clip]]) -> dict[str, set[str]]:
    return {split: {clip.text for clip in clips[split]} for split in clips}


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def write_csv(path, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def test_one_table_for_each_split(tmp_path):
    touch(tmp_path, "clips/1.wav", "clips/2.wav", "3.wav")
    write_jsonl(tmp_path / "train.jsonl", [{"audio": "clips/1.wav", "text": " నమస్కారం ", "language": "Telugu"}])
    write_jsonl(tmp_path / "test.jsonl", [{"audio": "clips/2.wav", "text": ""}, {"audio": "3.wav", "text": "b"}])
    clips = load_clips(tmp_path)
    assert clips["train"] == [Clip(tmp_path / "clips/1.wav", "నమస్కారం", "te")]
    assert clips["valid"] == []
    assert clips["test"] == [Clip(tmp_path / "clips/2.wav", ""), Clip(tmp_path / "3.wav", "b")]


def test_rows_give_the_times_of_clips_in_a_recording(tmp_path):
    touch(tmp_path, "talk.opus")
    rows = [
        {"audio": "talk.opus", "text": "a", "start": 0, "end": 1.5},
        {"audio": "talk.opus", "text": "b", "start": 1.75, "end": 4},
        {"audio": "talk.opus", "text": "c", "start": 4.25},
        {"audio": "talk.opus", "text": "d", "start": None, "end": None},
    ]
    write_jsonl(tmp_path / "train.jsonl", rows)
    clips = load_clips(tmp_path)["train"]
    assert [(clip.start, clip.end) for clip in clips] == [(0, 1.5), (1.75, 4), (4.25, None), (0, None)]
    assert [clip.origin for clip in clips] == [f"{tmp_path / 'train.jsonl'}, line {line}" for line in (1, 2, 3, 4)]


def test_a_csv_table_gives_times_too(tmp_path):
    touch(tmp_path, "talk.opus")
    rows = [
        {"file_name": "talk.opus", "text": "a", "start": "0.5", "end": "2"},
        {"file_name": "talk.opus", "text": "b", "start": "", "end": ""},
    ]
    write_csv(tmp_path / "metadata.csv", [{**row, "split": "train"} for row in rows])
    clips = load_clips(tmp_path)["train"]
    assert [(clip.start, clip.end) for clip in clips] == [(0.5, 2), (0, None)]


@pytest.mark.parametrize("column", ["text", "transcription", "transcript", "sentence"])
def test_a_csv_table_with_a_split_column(column, tmp_path):
    touch(tmp_path, "1.wav", "2.wav", "3.wav")
    rows = [
        {"file_name": "1.wav", column: 'said "yes", then\nno', "split": "train"},
        {"file_name": "2.wav", column: "b", "split": "validation"},
        {"file_name": "3.wav", column: "c", "split": "test"},
    ]
    write_csv(tmp_path / "metadata.csv", rows)
    assert texts(load_clips(tmp_path)) == {"train": {'said "yes", then\nno'}, "valid": {"b"}, "test": {"c"}}


def test_a_table_saved_by_a_spreadsheet_starts_with_a_byte_order_mark(tmp_path):
    touch(tmp_path, "1.wav")
    (tmp_path / "metadata.csv").write_bytes("\ufefffile_name,text\r\n1.wav,é\r\n".encode())
    assert load_clips(tmp_path)["train"] == [Clip(tmp_path / "1.wav", "é")]


def test_subfolders_with_a_table_each(tmp_path):
    write_clips(tmp_path / "train", ["a", "b"])
    write_clips(tmp_path / "validation", ["c"])
    write_clips(tmp_path / "test", ["d"])
    assert texts(load_clips(tmp_path)) == {"train": {"a", "b"}, "valid": {"c"}, "test": {"d"}}


def test_subfolders_named_in_one_table(tmp_path):
    touch(tmp_path, "train/1.wav", "dev/1.wav", "test/1.wav")
    rows = [{"file_name": f"{folder}/1.wav", "text": folder} for folder in ("train", "dev", "test")]
    write_jsonl(tmp_path / "metadata.jsonl", rows)
    assert texts(load_clips(tmp_path)) == {"train": {"train"}, "valid": {"dev"}, "test": {"test"}}


def test_without_splits_the_content_of_the_clips_decides(tmp_path):
    write_clips(tmp_path, [f"text {i}" for i in range(40)], seconds=0.01)
    clips = load_clips(tmp_path)
    assert clips == split_by_content([clip for found in clips.values() for clip in found]) and all(clips.values())


def as_jsonl(*rows: dict) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


ROW = {"file_name": "1.wav", "text": "a"}
# The content of metadata.jsonl, and the message after the table's name.
BAD_TABLES = {
    "no file_name": (as_jsonl({"path": "1.wav", "text": "a"}), ", line 1: no 'file_name' column; found path, text"),
    "no text": (
        as_jsonl({"file_name": "1.wav", "words": "a"}),
        ", line 1: no text column (one of text, transcription, transcript, sentence); found file_name, words",
    ),
    "text is null": (as_jsonl({**ROW, "text": None}), ", line 1: 'text' must be text, found nothing"),
    "text is a number": (as_jsonl({**ROW, "text": 7}), ", line 1: 'text' must be text, found 7"),
    "language": (
        as_jsonl({**ROW, "language": "xx"}),
        ", line 1: language is 'xx', which Whisper does not know; expected a code or a name, such as 'te' or 'Telugu'",
    ),
    "split": (as_jsonl({**ROW, "split": "tarin"}), ", line 1: split is 'tarin'; expected train, valid or test"),
    "one row without a split": (
        as_jsonl({**ROW, "split": "train"}, ROW),
        ", line 2: split is None; expected train, valid or test",
    ),
    "start before the recording": (
        as_jsonl(ROW, {**ROW, "start": -0.5}),
        ", line 2: start is -0.5; expected seconds from the start of the recording",
    ),
    "start in minutes": (
        as_jsonl({**ROW, "start": "1:30"}),
        ", line 1: start is '1:30'; expected seconds from the start of the recording",
    ),
    "end is true": (
        as_jsonl({**ROW, "end": True}),
        ", line 1: end is True; expected seconds from the start of the recording",
    ),
    "end is infinite": (
        as_jsonl({**ROW, "end": float("inf")}),
        ", line 1: end is inf; expected seconds from the start of the recording",
    ),
    "end before start": (
        as_jsonl({**ROW, "start": 2.5, "end": 2}),
        ", line 1: start is 2.5 and end is 2; the end must be after the start",
    ),
    "end is 0": (as_jsonl({**ROW, "end": 0}), ", line 1: start is 0 and end is 0; the end must be after the start"),
    "not JSON": (
        as_jsonl(ROW) + b"{oops\n",
        ", line 2: not JSON (Expecting property name enclosed in double quotes); each line must be a JSON object",
    ),
    "not an object": (b"[1, 2]\n", ", line 1: expected a JSON object, found [1, 2]"),
    "not UTF-8": (
        '{"file_name": "1.wav", "text": "\xe9"}\n'.encode("latin-1"),
        ": not UTF-8 text (invalid continuation byte at byte 32); save the table as UTF-8",
    ),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_a_bad_table_is_refused_with_its_name_and_line(case, tmp_path):
    content, message = BAD_TABLES[case]
    touch(tmp_path, "1.wav")
    table = tmp_path / "metadata.jsonl"
    table.write_bytes(content)
    with pytest.raises(DataError) as error:
        load_clips(tmp_path)
    assert str(error.value) == f"{table}{message}"


def test_a_csv_row_without_a_text_is_refused(tmp_path):
    touch(tmp_path, "1.wav")
    (tmp_path / "metadata.csv").write_text("file_name,text\n1.wav\n")
    with pytest.raises(DataError, match=r"metadata\.csv, line 2: 'text' must be text, found nothing$"):
        load_clips(tmp_path)


def test_a_missing_recording_is_named(tmp_path):
    write_jsonl(tmp_path / "train.jsonl", [{"audio": "clips/9.wav", "text": "a"}])
    with pytest.raises(DataError) as error:
        load_clips(tmp_path)
    assert str(error.value) == (
        f"{tmp_path / 'train.jsonl'}, line 1: there is no recording {tmp_path / 'clips/9.wav'}; "
        "paths start from the table's folder"
    )


def test_a_folder_without_a_table_is_refused(tmp_path):
    with pytest.raises(DataError) as error:
        load_clips(tmp_path)
    assert str(error.value) == (
        f"{tmp_path}: no clips; expected train.jsonl, metadata.jsonl or metadata.csv (see README.md)"
    )


def test_a_folder_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(DataError, match="nowhere: no such data folder"):
        load_clips(tmp_path / "nowhere")


def test_a_real_folder_of_speech():
    folder = ROOT.parent / "shared" / "data" / "fsdd"
    if not folder.is_dir():
        pytest.skip("needs the Free Spoken Digit Dataset in ../shared/data/fsdd")
    clips = load_clips(folder)
    assert {split: len(found) for split, found in clips.items()} == {"train": 1000, "valid": 500, "test": 500}
    assert [len({clip.speaker for clip in found}) for found in clips.values()] == [2, 1, 1]
