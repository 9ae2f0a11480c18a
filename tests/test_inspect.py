"""The `inspect` command."""

import json
import signal
from pathlib import Path

import pytest

from mlx_whisper_lora import inspect
from tests.support.clips import write_clips, write_jsonl
from tests.support.processes import start_python


@pytest.fixture(autouse=True)
def clips(tmp_path, monkeypatch) -> Path:
    """Write a folder of four clips, of which two have the same audio and one is missing."""
    monkeypatch.chdir(tmp_path)
    folder = write_clips(Path("clips"), ["one", "two", "three"])
    rows = [
        {"file_name": name, "text": text, "split": split, "language": "en"}
        for name, text, split in (
            ("0.wav", "one", "train"),
            ("0.wav", "two", "test"),
            ("1.wav", "", "train"),
            ("9.wav", "three", "test"),
        )
    ]
    write_jsonl(folder / "metadata.jsonl", rows)
    return folder


def test_findings_are_printed_and_written_and_are_not_an_error(run_main):
    outcome = run_main(inspect, "--data", "clips", "--json", "found.json", "--html", "found.html")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.splitlines() == [
        "Clips in clips",
        "train: 2 clips, 0.00 hours",
        "valid: 0 clips, 0.00 hours",
        "test: 1 clip, 0.00 hours",
        "length: 1 to 1, median 1 seconds",
        "characters a second: 3 to 3, median 3",
        "tokens of a text: 1 to 1, median 1",
        "languages: en (3)",
        "scripts: Latin (2)",
        "sample rates: 16000 Hz (3)",
        "Cannot be used: 1 clip",
        "  clips/metadata.jsonl, line 4: there is no recording clips/9.wav; paths start from the table's folder",
        "The audio of another clip: 1 clip",
        "  clips/0.wav (test): same as clips/0.wav (train), which has another text: one",
        "No text, so that they count as silence: 1 clip",
        "  clips/1.wav (train): 1.0 s, -11 dB",
        "Measures and findings: found.json",
        "Page with players: found.html",
    ]
    found = json.loads(Path("found.json").read_text(encoding="utf-8"))
    assert [each["kind"] for each in found["findings"]] == ["bad", "duplicate", "empty"]
    assert Path("found.html").read_text(encoding="utf-8").count("<audio ") == 2


def test_a_model_listens_to_clips_with_a_text(run_main, model_folder):
    outcome = run_main(inspect, "--data", "clips", "--model", model_folder, "--suspects", 1, "--json", "found.json")
    assert outcome.code == 0, outcome.err
    findings = json.loads(Path("found.json").read_text(encoding="utf-8"))["findings"]
    (suspect,) = (each for each in findings if each["kind"] == "mismatch")
    assert suspect["text"] in ("one", "two") and isinstance(suspect["heard"], str)
    assert f"    heard: {suspect['heard'][:20]}" in outcome.out


def test_several_folders_are_inspected_together(run_main):
    write_clips(Path("more"), ["four", "one"])
    outcome = run_main(inspect, "--data", "clips", "--data", "more", "--json", "found.json")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.splitlines()[:2] == ["Clips in clips", "Clips in more"]
    found = json.loads(Path("found.json").read_text(encoding="utf-8"))
    assert found["folder"] == "clips, more" and len(found["clips"]) == 5


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--json", "clips/0.wav"), 2, "--json: expected the name of a file that ends in .json, got 'clips/0.wav'"),
        (("--html", "no/a.html"), 1, "no/a.html: the folder for this file does not exist"),
        (("--max-clips", "9"), 2, "--max-clips limits the work of a model: give --model too"),
        (("--hf-streaming",), 2, "--hf-streaming is for Hugging Face data sets; clips is not one"),
        (("--data", "nothing"), 1, "nothing: no such data folder"),
        (("--model", "none"), 1, "none: model not found"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_writes_nothing(arguments, code, message, run_main, tmp_path):
    outcome = run_main(inspect, *(() if "--data" in arguments else ("--data", "clips")), *arguments)
    assert outcome.code == code and message in outcome.err and "Traceback" not in outcome.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clips"]


def test_a_language_that_is_not_known_is_named_if_a_model_is_to_listen(run_main, model_folder):
    write_jsonl(Path("clips/metadata.jsonl"), [{"file_name": "0.wav", "text": "one"}])
    outcome = run_main(inspect, "--data", "clips", "--model", model_folder)
    assert outcome.code == 1 and "its language is not known; give --language" in outcome.err
    assert run_main(inspect, "--data", "clips").code == 0


@pytest.mark.slow
def test_control_c_ends_in_one_line_and_leaves_no_files(tmp_path):
    process = start_python("-m", "mlx_whisper_lora.inspect", "--data", "clips", "--html", "a.html")
    for line in process.stdout:
        if line.startswith("Clips in"):
            process.send_signal(signal.SIGINT)
            break
    _, err = process.communicate(timeout=60)
    assert process.returncode in (0, 130) and "Traceback" not in err  # 0 if it was faster
    assert process.returncode == 0 or not Path("a.html").exists()
