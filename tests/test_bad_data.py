"""Bad data in training: what is wrong is named in one line, and what is suspicious is counted."""

from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile

from mlx_whisper_lora import lora
from tests.support.clips import tone, write_clips, write_jsonl
from tests.support.processes import Outcome

ROW = {"audio": "0.wav", "text": "one", "language": "en"}


@pytest.fixture
def train(tmp_path, model_folder, run_main, monkeypatch) -> Callable[..., Outcome]:
    """Trains for a step on the folder clips, which has three recordings and no table yet."""
    monkeypatch.chdir(tmp_path)
    write_clips(Path("clips"), ["one"] * 3, seconds=0.5)
    Path("clips/metadata.jsonl").unlink()
    small = ("--iters", 1, "--audio-context", 1.5, "--lora-layers", 1, "--pack", 0, "--sample-len", 4)

    def run(*arguments) -> Outcome:
        data = () if "--data" in arguments else ("--data", "clips")
        return run_main(lora, "--train", "--model", model_folder, *small, *data, *arguments)

    return run


def write(**files: str) -> None:
    """Write files of the folder clips."""
    for name, content in files.items():
        Path("clips", name).write_text(content, encoding="utf-8")


def write_table(*rows: dict, split: str = "train") -> None:
    write_jsonl(Path("clips", f"{split}.jsonl"), rows)


def write_half_an_mp3() -> None:
    soundfile.write("clips/1.mp3", tone(1.0), 16000)
    data = Path("clips/1.mp3").read_bytes()
    Path("clips/1.mp3").write_bytes(data[: len(data) // 2])


# What is written, the arguments, and the line on standard error.
ERRORS = {
    "wrong column": (
        lambda: write_table({**ROW, "words": "one"}),
        ("--text-column", "sentence"),
        "clips/train.jsonl, line 1: no 'sentence' column; found audio, text, language, words",
    ),
    "no column of translations": (
        lambda: write_table(ROW),
        ("--translation-column", "english"),
        "clips/train.jsonl, line 1: no 'english' column; found audio, text, language",
    ),
    "missing clip": (
        lambda: write_table(ROW, {**ROW, "audio": "9.wav"}),
        (),
        "clips/train.jsonl, line 2: there is no recording clips/9.wav; paths start from the table's folder",
    ),
    "unreadable MP3": (
        lambda: (write_half_an_mp3(), write_table(ROW, {**ROW, "audio": "1.mp3"})),
        (),
        "clips/train.jsonl, line 2: clips/1.mp3: the recording is cut short: its header promises 1.1 s, and 0.3 s "
        "are there; copy it again, or convert what is there with ffmpeg and use that",
    ),
    "one id twice in Kaldi": (
        lambda: write(**{"wav.scp": "a 0.wav\nb 1.wav", "text": "a one\nb two\na three"}),
        ("--language", "en"),
        "clips/text, line 3: line 1 has the id 'a' too; give each line an id of its own",
    ),
    "empty training split": (
        lambda: (write_table(), write_table(ROW, split="test")),
        (),
        "clips: there are no train clips",
    ),
    "empty test split": (lambda: write_table(ROW), ("--test",), "clips: there are no test clips"),
    "no translations": (
        lambda: write_table({**ROW, "english": " "}),
        ("--translation-column", "english"),
        "clips: there are no train clips",
    ),
    "validated clips without Common Voice": (
        lambda: write_table(ROW),
        ("--common-voice-validated",),
        "--common-voice-validated is for Common Voice releases (validated.tsv and clips/); clips is not one",
    ),
    "options of the Hub for folders": (
        lambda: write_table(ROW),
        ("--data", "clips", "--data", "clips:2", "--train-split", "test"),
        "--train-split is for Hugging Face data sets; clips, clips are not",
    ),
    "a missing folder in a folder": (
        lambda: write_table(ROW),
        ("--data", "clips/telugu"),
        "clips/telugu: no such data folder; if it is a data set of the Hugging Face Hub, give --hf-dataset "
        "clips/telugu",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_what_is_wrong_is_named_in_one_line(name, train):
    spoil, arguments, message = ERRORS[name]
    spoil()
    outcome = train(*arguments)
    lines = [line for line in outcome.err.splitlines() if not line.endswith("lists the options")]
    assert lines[-1] == f"mlx_whisper_lora.lora: error: {message}"
    assert outcome.code in (1, 2) and not list(Path().glob("*.npz"))


def test_recordings_of_several_rates_and_channels_are_read_together(train):
    soundfile.write("clips/1.flac", tone(0.5, rate=44100).reshape(-1, 1).repeat(2, axis=1), 44100)
    soundfile.write("clips/2.mp3", tone(0.5, rate=8000), 8000)
    write_table(*({**ROW, "audio": name} for name in ("0.wav", "1.flac", "2.mp3")))
    outcome = train("--batch-size", 3)
    assert (outcome.code, outcome.err) == (0, "")
    assert "Training: 1 steps of 3 clips, 1.0 passes over 3 clips" in outcome.out.splitlines()


def test_one_recording_with_two_texts_is_noted(train):
    write_table(ROW, {**ROW, "text": "two"}, {**ROW, "audio": "1.wav"})
    write_table({**ROW, "text": "one"}, split="valid")
    notes = [line for line in train().out.splitlines() if "audio" in line]
    assert notes == [
        "Note: 1 train clips have audio that other train clips have, such as clips/0.wav and clips/0.wav",
        "Note: 1 valid clips have audio that train clips have too, such as clips/0.wav and clips/0.wav",
        "Note: 1 of these clips have another text than the clip with their audio, such as 'two' (clips/train.jsonl, "
        "line 2) and 'one' (clips/train.jsonl, line 1)",
    ]


def test_texts_in_another_script_than_that_of_the_language_are_noted(train):
    texts = ("namaskaram", "നമസ്കാരം", "sukhamano")
    write_table(*({"audio": f"{i}.wav", "text": text} for i, text in enumerate(texts)))
    note = (
        "Note: 2 of 3 texts are in another script than that of their language (most: Latin, but ml has Malayalam), "
        "such as clips/0.wav (namaskaram), clips/2.wav (sukhamano)"
    )
    assert note in train("--language", "ml").out.splitlines()
    note = (
        "Note: 1 of 3 texts are in another script than that of their language (most: Malayalam, but en has Latin), "
        "such as clips/1.wav (നമസ്കാരം)"
    )
    assert note in train("--language", "ml", "--task", "translate", "--overwrite").out.splitlines()
