"""The same clips are read from each layout of data folders, and what is wrong in one is named."""

import numpy as np
import pytest

from mlx_whisper_lora.data.clip import SPLITS, Clip, DataError
from mlx_whisper_lora.data.content import split_by_content
from mlx_whisper_lora.data.sources import load_clips
from mlx_whisper_lora.data.sources.options import SourceOptions
from mlx_whisper_lora.whisper.audio.load import load_audio
from tests.support.layouts import LAYOUTS, SPOKEN


@pytest.mark.filterwarnings("ignore:.* rows are left out")
@pytest.mark.parametrize("name", LAYOUTS)
def test_each_layout_gives_the_same_clips(name, tmp_path):
    layout = LAYOUTS[name]
    layout.write(tmp_path)
    splits = load_clips(tmp_path, options=layout.options)
    found = {clip.text: (clip, split) for split in SPLITS for clip in splits[split]}
    spoken = {each.text.replace("|", "/") if name == "LJSpeech" else each.text: each for each in SPOKEN}
    assert found.keys() == spoken.keys() and sum(map(len, splits.values())) == len(SPOKEN)
    for text, each in spoken.items():
        clip, split = found[text]
        assert clip.speaker == (each.speaker if "speakers" in layout.known else None)
        assert clip.language == ("en" if "languages" in layout.known else None)
        assert split == each.split or "splits" not in layout.known
        samples = load_audio(clip.audio, start=clip.start, end=clip.end)
        if clip.audio.suffix == ".mp3":
            assert np.corrcoef(samples, each.samples)[0, 1] > 0.99
        else:
            np.testing.assert_array_equal(samples, each.samples)
    if "splits" not in layout.known:
        assert splits == split_by_content([clip for clips in splits.values() for clip in clips])


def test_rows_of_spontaneous_speech_that_are_not_read_are_counted(tmp_path):
    LAYOUTS["Spontaneous Speech"].write(tmp_path)
    with pytest.warns(UserWarning) as notes:
        load_clips(tmp_path)
    assert [str(note.message) for note in notes] == [
        f"6 rows are left out (no text), such as {tmp_path}/ss-corpus-en.tsv, line 3",
        f"6 rows are left out (no split, as they were not validated), such as {tmp_path}/ss-corpus-en.tsv, line 4",
    ]


def grid(*names: str) -> str:
    tiers = "".join(f'"IntervalTier" "{name}" 0 1 1 0 1 "a"\n' for name in names)
    return f'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0 1 <exists> {len(names)}\n{tiers}'


TIERS = "which tier has the texts? Found {}; name one with --text-column"
NOT_CUE = (
    "not one subtitle with times such as 00:00:01,000 --> 00:00:02,500, and then its text; write a blank line after "
    "each subtitle, and none within one"
)
TEXT_GRID = "not a TextGrid, or a part of it is missing; save it in Praat as a text file"
# The files of a folder, and its errors; {0} stands for the folder.
FAULTS = {
    "a command in wav.scp": (
        {"wav.scp": "a touch {0}/ran |\nb 1.wav", "text": "a one\nb two", "1.wav": ""},
        ["wav.scp, line 1: a command, which is not run; write its output to a file, and give the path of that here"],
    ),
    "ids of Kaldi": (
        {
            "wav.scp": "a 1.wav\nb 9.wav",
            "segments": "1 a 0 1\n2 c 0 1\n3 a 0\n4 a 0 1\n1 a 0 1\n5 b 0 1",
            "text": "1 one\n2 two\n3 three\n5 five\n6 six",
            "1.wav": "",
        },
        [
            "wav.scp, line 2: there is no recording {0}/9.wav; paths start from the table's folder",
            "segments, line 5: line 1 has the id '1' too; give each line an id of its own",
            "segments, line 2: the recording 'c' has no line in {0}/wav.scp",
            "segments, line 3: expected the ids of an utterance and of its recording, its start and its end",
            "segments, line 4: '4' has no line in {0}/text",
            "text, line 5: '6' has no line in {0}/segments",
        ],
    ),
    "Kaldi without texts": (
        {"wav.scp": "a 1.wav"},
        ["wav.scp: without the file {0}/text, whose lines have an utterance's id and its text"],
    ),
    "ids of LibriSpeech": (
        {"84/7/84-7.trans.txt": "84-7-0 ONE\n84-7-0 TWO\n84-7-1 THREE", "84/7/84-7-0.flac": ""},
        [
            "84/7/84-7.trans.txt, line 2: line 1 has the id '84-7-0' too; give each line an id of its own",
            "84/7/84-7.trans.txt, line 3: there is no recording {0}/84/7/84-7-1.flac; paths start from the "
            "table's folder",
        ],
    ),
    "a clip of LJSpeech": (
        {"metadata.csv": "a|one\nb|two|two", "wavs/a.wav": ""},
        ["metadata.csv, line 2: there is no recording {0}/wavs/b.wav; paths start from the table's folder"],
    ),
    "a clip of Common Voice": (
        {"train.tsv": "client_id\tpath\tsentence\nme\t1.mp3\tone", "clips/2.mp3": ""},
        ["train.tsv, line 2: there is no recording {0}/clips/1.mp3; paths start from the table's folder"],
    ),
    "Common Voice with other columns": (
        {"train.tsv": "client_id\tpath\twords\nme\t1.mp3\tone", "clips/1.mp3": ""},
        [
            "train.tsv, line 1: no text column (one of text, transcription, transcript, sentence); found client_id, "
            "path, words; give its name as --text-column; the first line must name the columns"
        ],
    ),
    "validated.tsv alone": (
        {"validated.tsv": "client_id\tpath\tsentence\nme\t1.mp3\tone", "clips/1.mp3": ""},
        ["validated.tsv: without train.tsv; give --common-voice-validated to train on this table"],
    ),
    "subtitles": (
        {
            "1.wav": "",
            "1.srt": "1\n00:01 --> 00:02\none\n\n2\n00:00:01,000 --> 00:00:02,000\ntwo\n3\n"
            "00:00:02,000 --> 00:00:03,000\nthree\n\n4\n00:00:03,000 --> 00:00:03,000\nfour",
        },
        [
            f"1.srt, line 1: {NOT_CUE}",
            f"1.srt, line 5: {NOT_CUE}",
            "1.srt, line 13: start is 3 and end is 3; the end must be after the start",
        ],
    ),
    "labels": (
        {"1.wav": "", "1.txt": "0.0\t1.0\tone\n1.0 2.0 two"},
        ["1.txt, line 2: not a label: expected start, end and text with tabs between"],
    ),
    "a transcript without segments": (
        {"1.wav": "", "1.json": '{"text": "one"}'},
        ["1.json: not a transcript as `transcribe --output-format json` writes it: it has no segments"],
    ),
    "segments": (
        {"1.wav": "", "1.json": '{"segments": [{"start": 0, "end": "x", "text": "one"}, 7]}'},
        [
            "1.json, segment 1: end is 'x'; expected seconds from the start of the recording",
            "1.json, segment 2: not an object with start, end and text",
        ],
    ),
    "several tiers": (
        {"1.wav": "", "1.TextGrid": grid("words", "phones")},
        [f"1.TextGrid: {TIERS.format('words, phones')}"],
    ),
    "half a TextGrid": ({"1.wav": "", "1.TextGrid": grid("words")[:-6]}, [f"1.TextGrid: {TEXT_GRID}"]),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_is_wrong_in_a_layout_is_named(name, tmp_path):
    files, messages = FAULTS[name]
    for path, content in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(content.replace("{0}", str(tmp_path)))
    with pytest.raises(DataError) as error:
        load_clips(tmp_path)
    lines = [line.strip() for line in str(error.value).splitlines()]
    assert lines[len(lines) > 1 :] == [f"{tmp_path}/{message.replace('{0}', str(tmp_path))}" for message in messages]
    assert not (tmp_path / "ran").exists()


def test_recordings_and_transcripts_that_are_alone_are_named(tmp_path):
    (tmp_path / "train").mkdir()
    for name in ("1.wav", "1.txt", "2.wav", "3.srt", "README.txt"):
        (tmp_path / "train" / name).touch()
    bad: list[DataError] = []
    assert load_clips(tmp_path, bad)["train"] == [Clip(tmp_path / "train/1.wav", "")]
    assert [str(error).removeprefix(f"{tmp_path}/train/") for error in bad] == [
        "2.wav: there is no transcript beside it, such as 2.txt; write one, or move the recording away",
        "3.srt: there is no recording beside it, such as 3.wav; move one there, or move away what is not a transcript",
    ]


def test_double_quotes_in_a_sentence_of_common_voice(tmp_path):
    texts = {'"Yes," he said': '"Yes," he said', '"Yes"': '"Yes"', '"He said ""yes"" twice"': 'He said "yes" twice'}
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips/1.mp3").touch()
    rows = "".join(f"me\t1.mp3\t{sentence}\n" for sentence in texts)
    (tmp_path / "train.tsv").write_text(f"client_id\tpath\tsentence\n{rows}")
    assert [clip.text for clip in load_clips(tmp_path)["train"]] == list(texts.values())


def test_hours_of_subtitles_and_their_tags(tmp_path):
    (tmp_path / "test").mkdir()
    (tmp_path / "test/1.mp3").touch()
    cue = "7\r\n01:02:03,500 --> 100:00:00,250\r\n{\\an8}<font color=red>one</font>\r\n<i>two</i> & 3 < 4\r\n"
    (tmp_path / "test/1.srt").write_bytes(cue.encode("utf-8-sig"))
    assert load_clips(tmp_path)["test"] == [Clip(tmp_path / "test/1.mp3", "one two & 3 < 4", None, 3723.5, 360_000.25)]


def test_a_name_that_no_file_can_have_is_a_missing_recording(tmp_path):
    (tmp_path / "wavs").mkdir()
    (tmp_path / "metadata.csv").write_text(f"{'a' * 300}|one\n")
    with pytest.raises(DataError, match=r"metadata\.csv, line 1: there is no recording"):
        load_clips(tmp_path)


def test_a_tier_can_be_named(tmp_path):
    (tmp_path / "test").mkdir()
    (tmp_path / "test/1.wav").touch()
    (tmp_path / "test/1.TextGrid").write_text(grid("Words", "phones"))
    clips = load_clips(tmp_path, options=SourceOptions(text_column="words"))
    assert clips["test"] == [Clip(tmp_path / "test/1.wav", "a", end=1.0)]
