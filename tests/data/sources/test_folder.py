"""Tables of clips: layouts, splits and what is wrong with them."""

import csv

import pytest

from mlx_whisper_lora.data.clip import Clip, DataError
from mlx_whisper_lora.data.sources.folder import load_clips
from tests.support.clips import WORDS, write_clips, write_jsonl
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


def test_one_table_a_split_with_audio_and_text(tmp_path):
    touch(tmp_path, "clips/1.wav", "clips/2.wav", "3.wav")
    write_jsonl(tmp_path / "train.jsonl", [{"audio": "clips/1.wav", "text": " నమస్కారం ", "language": "Telugu"}])
    write_jsonl(tmp_path / "test.jsonl", [{"audio": "clips/2.wav", "text": ""}, {"audio": "3.wav", "text": "b"}])
    clips = load_clips(tmp_path)
    assert clips["train"] == [Clip(tmp_path / "clips/1.wav", "నమస్కారం", "te")]
    assert clips["valid"] == []
    assert clips["test"] == [Clip(tmp_path / "clips/2.wav", ""), Clip(tmp_path / "3.wav", "b")]


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


def test_a_random_split_is_fixed_by_its_seed(tmp_path):
    write_clips(tmp_path, [f"text {i}" for i in range(40)], seconds=0.01)
    clips = load_clips(tmp_path, seed=1)
    assert {split: len(found) for split, found in clips.items()} == {"train": 32, "valid": 4, "test": 4}
    assert set().union(*texts(clips).values()) == {f"text {i}" for i in range(40)}
    assert clips == load_clips(tmp_path, seed=1) != load_clips(tmp_path, seed=2)


@pytest.mark.parametrize(("count", "sizes"), [(1, (1, 0, 0)), (2, (2, 0, 0)), (3, (1, 1, 1)), (6, (4, 1, 1))])
def test_a_random_split_of_few_clips_keeps_some_to_train_on(count, sizes, tmp_path):
    write_clips(tmp_path, WORDS[:count], seconds=0.01)
    assert tuple(len(clips) for clips in load_clips(tmp_path).values()) == sizes


def write_bytes(data: bytes):
    return lambda folder: (folder / "metadata.jsonl").write_bytes(data)


def rows(*found: dict):
    return lambda folder: write_jsonl(folder / "metadata.jsonl", found)


BAD_TABLES = {
    "none at all": (lambda folder: None, "no clips; expected train.jsonl, metadata.jsonl or metadata.csv"),
    "no file_name": (rows({"path": "1.wav", "text": "a"}), "line 1: no 'file_name' column; found path, text"),
    "no text": (rows({"file_name": "1.wav", "words": "a"}), "line 1: no text column .*; found file_name, words"),
    "text is null": (rows({"file_name": "1.wav", "text": None}), "line 1: 'text' should be text, found nothing"),
    "text is a number": (rows({"file_name": "1.wav", "text": 7}), "line 1: 'text' should be text, found 7"),
    "missing clip": (rows({"file_name": "9.wav", "text": "a"}), "line 1: there is no recording .*9.wav"),
    "language": (
        rows({"file_name": "1.wav", "text": "a", "language": "xx"}),
        "language is 'xx', which Whisper does not",
    ),
    "split": (
        rows({"file_name": "1.wav", "text": "a", "split": "tarin"}),
        "split is 'tarin'; expected train, valid or",
    ),
    "half split": (
        rows({"file_name": "1.wav", "text": "a", "split": "train"}, {"file_name": "1.wav", "text": "a"}),
        "line 2: split is None",
    ),
    "no JSON": (write_bytes(b'{"file_name": "1.wav", "text": "a"}\n{oops\n'), "line 2: not JSON"),
    "no object": (write_bytes(b"[1, 2]\n"), "line 1: expected a JSON object, found .1, 2."),
    "no UTF-8": (write_bytes('{"file_name": "1.wav", "text": "\xe9"}\n'.encode("latin-1")), "not UTF-8 text"),
    "short CSV row": (
        lambda folder: (folder / "metadata.csv").write_text("file_name,text\n1.wav\n"),
        "line 2: 'text' should be text, found nothing",
    ),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_what_is_wrong_with_a_table_is_told_by_file_and_line(case, tmp_path):
    write, message = BAD_TABLES[case]
    touch(tmp_path, "1.wav")
    write(tmp_path)
    with pytest.raises(DataError, match=message) as error:
        load_clips(tmp_path)
    assert str(error.value).startswith(str(tmp_path))


def test_a_folder_that_does_not_exist(tmp_path):
    with pytest.raises(DataError, match="nowhere: no such data folder"):
        load_clips(tmp_path / "nowhere")


def test_a_real_folder_of_speech():
    folder = ROOT.parent / "shared" / "data" / "fsdd"
    if not folder.is_dir():
        pytest.skip("needs the Free Spoken Digit Dataset in ../shared/data/fsdd")
    clips = load_clips(folder)
    assert {split: len(found) for split, found in clips.items()} == {"train": 1600, "valid": 200, "test": 200}
    assert {clip.text for clip in clips["test"]} >= {"zero", "one", "nine"}
