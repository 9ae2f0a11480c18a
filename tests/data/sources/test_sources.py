"""Data folders: their layouts, splits, times and faults."""

import csv
import json
from pathlib import Path

import pytest

from mlx_whisper_lora.data.clip import Clip, DataError
from mlx_whisper_lora.data.content import split_by_content
from mlx_whisper_lora.data.sources import load_clips, unused_tables
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
    "no recording": (
        as_jsonl({"clip": "1.wav", "text": "a"}),
        ", line 1: no audio column (one of file_name, audio, audio_filepath, audio_file, path); found clip, text; "
        "give its name as --audio-column",
    ),
    "no text": (
        as_jsonl({"file_name": "1.wav", "words": "a"}),
        ", line 1: no text column (one of text, transcription, transcript, sentence); found file_name, words; give its "
        "name as --text-column",
    ),
    "text is null": (as_jsonl({**ROW, "text": None}), ", line 1: 'text' must be text, found nothing"),
    "text is a number": (as_jsonl({**ROW, "text": 7}), ", line 1: 'text' must be text, found 7"),
    "language": (
        as_jsonl({**ROW, "language": "klingon"}),
        ", line 1: unknown language 'klingon': give a code such as 'te' or an English name such as 'telugu'",
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
        as_jsonl({**ROW, "end": "inf"}),
        ", line 1: end is 'inf'; expected seconds from the start of the recording",
    ),
    "NaN, as pandas writes it": (
        as_jsonl({**ROW, "speaker": float("nan")}),
        ", line 1: not JSON (it has no NaN; write null if there is no value); each line must be a JSON object",
    ),
    "two texts": (
        b'{"file_name": "1.wav", "text": "a", "Text": "b"}\n',
        ", line 1: not JSON (two values for 'text'); each line must be a JSON object",
    ),
    "a number of many digits": (
        b'{"file_name": "1.wav", "text": "a", "end": ' + b"9" * 400 + b"}\n",
        f", line 1: end is {'9' * 60}...{'9' * 10}; expected seconds from the start of the recording",
    ),
    "half a character": (
        b'{"file_name": "1.wav", "text": "\\ud83d"}\n',
        ", line 1: 'text' holds characters that no text has: '\\ud83d'",
    ),
    "NUL in a path": (
        as_jsonl({**ROW, "file_name": "1\0.wav"}),
        ", line 1: 'file_name' holds characters that no text has: '1\\x00.wav'",
    ),
    "no path": (
        as_jsonl({**ROW, "file_name": " "}),
        ", line 1: 'file_name' must be the path of a recording, found ' '",
    ),
    "language is a number": (as_jsonl({**ROW, "language": 7}), ", line 1: 'language' must be text, found 7"),
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
        ", line 1: not UTF-8 text (byte 0xe9), but perhaps Windows-1252; save the table as UTF-8 (Excel: CSV UTF-8)",
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
    with pytest.raises(
        DataError, match=r"metadata\.csv, line 2: 1 field, but the header has 2; write empty fields too$"
    ):
        load_clips(tmp_path)


def test_a_missing_recording_is_named(tmp_path):
    write_jsonl(tmp_path / "train.jsonl", [{"audio": "clips/9.wav", "text": "a"}])
    with pytest.raises(DataError) as error:
        load_clips(tmp_path)
    assert str(error.value) == (
        f"{tmp_path / 'train.jsonl'}, line 1: there is no recording {tmp_path / 'clips/9.wav'}; "
        "paths start from the table's folder"
    )


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("1.wav", "there is no recording {0}/1.wav; there is {0}/1.WAV"),
        ("clips", "{0}/clips is a folder, not a recording"),
        ("a" * 300, "there is no recording {0}/" + "a" * 300 + "; paths start from the table's folder"),
    ],
)
def test_the_reason_why_a_path_is_not_a_recording_is_given(name, problem, tmp_path):
    touch(tmp_path, "1.WAV", "clips/2.wav")
    write_jsonl(tmp_path / "metadata.jsonl", [{"file_name": name, "text": "a"}])
    with pytest.raises(DataError) as error:
        load_clips(tmp_path)
    assert str(error.value) == f"{tmp_path / 'metadata.jsonl'}, line 1: {problem.format(tmp_path)}"


@pytest.mark.parametrize(
    ("written", "file"),
    [
        ("clips\\1.wav", "clips/1.wav"),  # as Windows writes it
        ("e\u0301.wav", "\u00e9.wav"),  # as macOS stores names
        ("\u00e9.wav", "e\u0301.wav"),
        ("clips/../1.wav", "1.wav"),
        (" 1.wav ", "1.wav"),
    ],
)
def test_a_path_is_found_in_the_spelling_of_another_system(written, file, tmp_path):
    touch(tmp_path, file, "clips/2.wav")
    write_jsonl(tmp_path / "metadata.jsonl", [{"file_name": written, "text": "a", "split": "train"}])
    (clip,) = load_clips(tmp_path)["train"]
    assert clip.audio.samefile(tmp_path / file)


def test_all_bad_rows_of_all_tables_are_reported_at_once(tmp_path):
    touch(tmp_path, "1.wav")
    rows = [{"audio": "1.wav", "text": "a"}] + [{"audio": f"{i}.wav", "text": "a"} for i in range(2, 13)]
    write_jsonl(tmp_path / "train.jsonl", rows)
    write_jsonl(tmp_path / "test.jsonl", [{"audio": "1.wav"}])
    with pytest.raises(DataError) as error:
        load_clips(tmp_path)
    assert str(error.value).splitlines() == [
        "12 clips cannot be used; correct them, or skip them with --skip-bad:",
        *(
            f"  {tmp_path}/train.jsonl, line {i}: there is no recording {tmp_path}/{i}.wav; paths start from the "
            "table's folder"
            for i in range(2, 12)
        ),
        "  and 2 more",
    ]


def test_bad_rows_can_be_collected_and_the_others_used(tmp_path):
    touch(tmp_path, "1.wav")
    good = {"audio": "1.wav", "text": "a", "language": "te"}
    write_jsonl(tmp_path / "train.jsonl", [good, {**good, "language": "klingon"}, good, {**good, "text": 3}])
    bad: list[DataError] = []
    assert len(load_clips(tmp_path, bad)["train"]) == 2
    assert [str(error).partition(": ")[0] for error in bad] == [f"{tmp_path}/train.jsonl, line {i}" for i in (2, 4)]


def test_a_speaker_of_number_0_is_a_speaker(tmp_path):
    write_clips(tmp_path, ["a"] * 4, seconds=0.01, speaker=0)
    assert {clip.speaker for clips in load_clips(tmp_path).values() for clip in clips} == {"0"}


def test_tables_that_are_not_read_are_named(tmp_path):
    for name in ("train.jsonl", "metadata.csv", "test/metadata.tsv"):
        touch(tmp_path, name)
    assert load_clips(tmp_path) == {"train": [], "valid": [], "test": []}
    assert unused_tables(tmp_path) == [tmp_path / "metadata.csv", tmp_path / "test/metadata.tsv"]


@pytest.mark.parametrize("table", ["metadata.csv", "wav.scp"])
def test_tables_of_folders_that_are_not_named_as_a_split_are_named(table, tmp_path):
    content = {"metadata.csv": "file_name,text\n1.wav,one\n", "wav.scp": "a 1.wav\n", "text": "a one\n"}
    for folder in ("train", "more"):
        touch(tmp_path, f"{folder}/1.wav")
        for name in {table, "text"}:
            (tmp_path / folder / name).write_text(content[name])
    assert len(load_clips(tmp_path)["train"]) == 1
    assert unused_tables(tmp_path) == [tmp_path / "more" / table]


def test_a_file_instead_of_a_folder_is_refused(tmp_path):
    touch(tmp_path, "metadata.csv")
    with pytest.raises(
        DataError, match=r"metadata\.csv: a file, not a data folder; give the folder that holds the tab"
    ):
        load_clips(tmp_path / "metadata.csv")


def test_a_folder_that_no_source_understands_is_refused_with_what_is_in_it(tmp_path):
    touch(tmp_path, "a/1.wav", "a/2.wav", "a/3.WAV", "clips.xlsx", "README")
    with pytest.raises(DataError) as error:
        load_clips(tmp_path)
    assert str(error.value) == (
        f"{tmp_path}: no clips; found 3 .wav files, 1 .xlsx file, 1 suffixless file, in 1 subfolder; expected one of: "
        "train.jsonl; LJSpeech (metadata.csv with id|text, and wavs/); metadata.jsonl, metadata.csv or metadata.tsv; "
        "Common Voice (train.tsv and clips/); Spontaneous Speech (ss-corpus-*.tsv and audios/); Kaldi (wav.scp and "
        "text); NeMo (*manifest*.json); LibriSpeech (speaker/chapter/*.trans.txt beside FLACs); recordings with .txt, "
        ".srt, .vtt, .TextGrid or .json beside them"
    )


@pytest.mark.parametrize("name", ["telugu", "./telugu", "../telugu", "~/telugu", "data/in/telugu", "/data/telugu"])
def test_a_folder_that_does_not_exist_is_refused(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError) as error:
        load_clips(name)
    assert str(error.value) == f"{Path(name)}: no such data folder"


def test_a_missing_folder_in_a_folder_is_not_looked_for_on_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    with pytest.raises(DataError) as error:
        load_clips("data/telugu")
    assert str(error.value) == (
        "data/telugu: no such data folder; if it is a data set of the Hugging Face Hub, give --hf-dataset data/telugu"
    )


def test_a_real_folder_of_speech():
    folder = ROOT.parent / "shared" / "data" / "fsdd"
    if not folder.is_dir():
        pytest.skip("needs the Free Spoken Digit Dataset in ../shared/data/fsdd")
    clips = load_clips(folder)
    assert {split: len(found) for split, found in clips.items()} == {"train": 1000, "valid": 500, "test": 500}
    assert [len({clip.speaker for clip in found}) for found in clips.values()] == [2, 1, 1]
