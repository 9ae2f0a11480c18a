"""Translations as the texts of clips, and the tasks of clips."""

import pytest

from mlx_whisper_lora.data.clip import DataError
from mlx_whisper_lora.data.sources import load_clips
from mlx_whisper_lora.data.sources.options import SourceOptions
from mlx_whisper_lora.whisper.option import OptionError
from tests.support.clips import write_jsonl

ENGLISH = SourceOptions(translation_column="English")
ROWS = [
    {"audio": "1.wav", "sentence": "వంద", "english": " a hundred ", "lang": "te"},
    {"audio": "1.wav", "sentence": "ఒకటి", "english": "", "lang": "te"},
    {"audio": "1.wav", "sentence": "రెండు", "english": None, "lang": "te"},
]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "1.wav").touch()
    write_jsonl(tmp_path / "train.jsonl", ROWS)
    return tmp_path


def test_a_translation_is_the_text_and_rows_without_one_are_counted(folder):
    with pytest.warns(UserWarning) as notes:
        (clip,) = load_clips(folder, options=ENGLISH)["train"]
    assert (clip.text, clip.task, clip.language, clip.text_language) == ("a hundred", "translate", "te", "en")
    assert [str(note.message) for note in notes] == [
        f"2 rows are left out (no translation), such as {folder / 'train.jsonl'}, line 2"
    ]


def test_without_the_option_the_transcript_is_the_text(folder):
    clip, *_ = load_clips(folder)["train"]
    assert (clip.text, clip.task, clip.text_language) == ("వంద", None, "te")


def test_a_column_of_translations_that_is_missing_is_named_with_those_there_are(folder):
    with pytest.raises(DataError) as error:
        load_clips(folder, options=SourceOptions(translation_column="german"))
    assert str(error.value).splitlines()[1] == (
        f"  {folder / 'train.jsonl'}, line 1: no 'german' column; found audio, sentence, english, lang"
    )


def test_a_column_gives_the_task_of_each_clip(folder):
    tasks = ["translate", " Transcribe ", "", None]
    write_jsonl(folder / "train.jsonl", [{"audio": "1.wav", "text": "a hundred", "Task": task} for task in tasks])
    clips = load_clips(folder, options=SourceOptions(task_column="task"))["train"]
    assert [clip.task for clip in clips] == ["translate", "transcribe", None, None]
    assert {clip.task for clip in load_clips(folder)["train"]} == {None}


def test_a_task_that_is_not_known_is_named(folder):
    write_jsonl(folder / "train.jsonl", [{"audio": "1.wav", "text": "a hundred", "task": "read aloud"}])
    with pytest.raises(DataError) as error:
        load_clips(folder, options=SourceOptions(task_column="task"))
    assert str(error.value) == (
        f"{folder / 'train.jsonl'}, line 1: task is 'read aloud'; expected transcribe or translate"
    )


def test_a_clip_has_one_text_and_one_task():
    with pytest.raises(OptionError, match=r"^task_column and translation_column exclude each other: a clip has one"):
        SourceOptions(task_column="a", translation_column="b")
    with pytest.raises(OptionError, match=r"^text_column and translation_column exclude each other: a clip has one"):
        SourceOptions(text_column="a", translation_column="b")
