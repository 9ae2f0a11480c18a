"""The command that trains, tests and runs classifiers."""

import importlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mlx_whisper_lora import classify, fuse, lora, merge
from mlx_whisper_lora.adapters.adapter_file import read_adapter_config
from mlx_whisper_lora.adapters.classifier import HEADS
from mlx_whisper_lora.adapters.methods import METHODS
from mlx_whisper_lora.training import class_run
from mlx_whisper_lora.training.callbacks import Callback, all_of
from tests.support.clips import write_jsonl
from tests.support.labeled import write_labeled_clips

transcribe = importlib.import_module("mlx_whisper_lora.transcribe")  # the attribute of that name may be the function
QUICK = ("--warmup", 0, "--batch-size", 4, "--learning-rate", 0.002, "--steps-per-report", 5)


@pytest.fixture
def clips(tmp_path, monkeypatch, demo_model_folder, demo_clips_folder) -> Path:
    monkeypatch.chdir(tmp_path)
    return write_labeled_clips(tmp_path / "clips")


@pytest.fixture
def train(run_main, clips):
    """Trains for a few steps, on the bundled model; returns the outcome."""

    def run(*arguments):
        given = ("--train", "--model", "demo", "--data", clips, "--overwrite")
        outcome = run_main(classify, *given, *QUICK, *arguments)
        assert outcome.code == 0, outcome.err
        return outcome

    return run


@pytest.mark.slow
def test_a_class_with_a_tone_is_told_apart_and_recordings_are_named(train, run_main, clips):
    printed = train("--test", "--iters", 40, "--steps-per-eval", 20, "--json", "test.json", "--html", "test.html").out
    found = json.loads(Path("test.json").read_text())
    assert found["accuracy"] == 100 and found["confusion"] == [[4, 0], [0, 4]]
    assert "accuracy 100.00 % (100.00 to 100.00)" in printed and "by a bootstrap over 4 speakers" in printed
    assert "The most frequent class for every clip: balanced accuracy 50.00 %" in printed
    assert "Confusion matrix" in Path("test.html").read_text()
    assert read_adapter_config("adapters.npz").classifier.classes == ("plain", "tone")

    outcome = run_main(classify, "--audio", clips / "test0.wav", clips / "test1.wav", "--json", "named.json")
    named = json.loads(Path("named.json").read_text())
    assert [next(iter(each)) for each in named.values()] == ["plain", "tone"]
    assert re.search(r"test1\.wav: tone \d+\.\d %, plain \d+\.\d %", outcome.out)


@pytest.mark.slow
@pytest.mark.parametrize("head", HEADS)
def test_each_head_names_a_recording_as_it_named_it_in_the_test(head, train, run_main, clips):
    train("--head", head, "--iters", 2)
    run_main(classify, "--test", "--data", clips, "--adapter-file", "adapters_last.npz", "--json", "test.json")
    found = json.loads(Path("test.json").read_text())
    files = [clips / each["clip"].rpartition("/")[2] for each in found["clips"]]
    run_main(classify, "--audio", *files, "--adapter-file", "adapters_last.npz", "--json", "named.json")
    named = json.loads(Path("named.json").read_text())
    assert len(named) == 8
    for file, each in zip(files, found["clips"], strict=True):
        assert next(iter(named[str(file)].items())) == (each["named"], pytest.approx(each["probability"], abs=1e-4))


@pytest.mark.slow
@pytest.mark.parametrize("method", sorted({*METHODS} - {"decoder"}))
def test_each_method_trains_below_the_head(method, train):
    printed = train("--fine-tune-type", method, "--iters", 2, "--best-by", "loss").out
    assert "Iter 2: Val loss" in printed
    assert "decoder 0.000M" in printed  # the head on the encoder does without it


def test_what_cannot_be_trained_is_one_line(run_main, clips):
    given = ("--train", "--model", "demo", "--data", clips, "--iters", 1)
    outcome = run_main(classify, *given, "--fine-tune-type", "decoder")
    assert outcome.code == 1
    assert "decoder trains the decoder alone, and the head attention does without it" in outcome.err
    outcome = run_main(classify, *given, "--label-column", "dialect")
    assert "metadata.jsonl, line 1: no 'dialect' column; found file_name, label, split, speaker" in outcome.err
    rows = [json.loads(line) for line in (clips / "metadata.jsonl").read_text().splitlines()]
    write_jsonl(clips / "metadata.jsonl", [row | {"label": "plain"} for row in rows])
    assert "two classes are needed to tell them apart" in run_main(classify, *given).err
    write_jsonl(clips / "metadata.jsonl", [*rows[:-1], rows[-1] | {"label": "noise"}])
    outcome = run_main(classify, *given, "--test")
    assert "metadata.jsonl, line 62: " in outcome.err
    assert "its label is 'noise', and the classes are plain, tone" in outcome.err
    assert "nothing to do" in run_main(classify).err


@pytest.mark.slow
def test_a_classifier_does_not_transcribe(train, run_main, clips):
    train("--iters", 2, "--best-by", "loss")
    message = "adapters.npz: this adapter does not transcribe, it names 2 classes: plain, tone; use classify"
    given = ("--adapter-file", "adapters.npz")
    for command, arguments in (
        (transcribe, (*given, "--audio", clips / "test0.wav")),
        (fuse, given),
        (merge, (*given, *given)),
        (lora, ("--test", *given)),
        (lora, ("--train", "--resume-adapter-file", "adapters.npz", "--adapter-file", "b.npz")),
    ):
        outcome = run_main(command, *arguments)
        assert outcome.code == 1 and message in outcome.err, command.__name__


@pytest.mark.slow
def test_a_run_that_was_cut_off_ends_with_the_same_classifier(train, run_main, clips, monkeypatch):
    train("--iters", 8, "--steps-per-eval", 4, "--best-by", "loss", "--adapter-file", "whole.npz")

    class Cut(Callback):
        def step(self, report):
            raise KeyboardInterrupt

    finetune = class_run.finetune

    def cut_short(*arguments, **named):
        *before, callback = arguments[:7]
        return finetune(*before, all_of([callback, Cut()]), *arguments[7:], **named)

    given = ("--train", "--model", "demo", "--data", clips, *QUICK)
    run = (*given, "--iters", 8, "--steps-per-eval", 4, "--best-by", "loss", "--adapter-file", "cut.npz")
    with monkeypatch.context() as patch:
        patch.setattr(class_run, "finetune", cut_short)
        assert run_main(classify, *run).code == 130
    outcome = run_main(classify, "--resume", "--adapter-file", "cut.npz")
    assert outcome.code == 0, outcome.err
    first, second = (dict(np.load(name)) for name in ("whole.npz", "cut.npz"))
    assert [name for name in first if name not in ("config",) and not np.array_equal(first[name], second[name])] == []
    assert read_adapter_config("whole.npz").classifier == read_adapter_config("cut.npz").classifier


@pytest.mark.slow
def test_a_recording_of_over_30_s_has_the_mean_of_the_scores_of_its_windows(train, run_main, clips):
    samples, rate = soundfile.read(clips / "test1.wav", dtype="float32")
    long = np.tile(samples, round(70 * rate / len(samples)))
    soundfile.write(clips / "long.wav", long, rate)
    with (clips / "metadata.jsonl").open("a") as table:
        table.write(json.dumps({"file_name": "long.wav", "label": "tone", "split": "test", "speaker": "x"}) + "\n")
    printed = train("--iters", 10, "--best-by", "loss", "--test", "--json", "test.json").out
    assert "Testing adapters.npz on 9 clips" in printed and "Clips of over 20 s: 1, accuracy" in printed
    assert json.loads(Path("test.json").read_text())["clips"][-1]["clip"].endswith("long.wav, 0.00 to 70.11 s")

    parts = np.array_split(long, 3)
    for i, part in enumerate(parts):
        soundfile.write(f"part{i}.wav", part, rate)
    run_main(classify, "--audio", clips / "long.wav", "part0.wav", "part1.wav", "part2.wav", "--json", "named.json")
    whole, *windows = json.loads(Path("named.json").read_text()).values()
    odds = [np.log(each["tone"] / each["plain"]) for each in windows]
    assert np.log(whole["tone"] / whole["plain"]) == pytest.approx(np.mean(odds), abs=0.01)


@pytest.mark.slow
def test_recordings_are_transcribed_with_the_adapter_of_their_class(train, run_main, clips):
    train("--iters", 40, "--adapter-file", "tones.npz")
    lora_run = ("--train", "--model", "demo", "--lora-layers", 1, "--iters", 2, "--val-clips", 1, "--sample-len", 4)
    assert run_main(lora, *lora_run, "--adapter-file", "speech.npz", "--best-by", "loss").code == 0
    outcome = run_main(
        transcribe,
        *("--audio", clips / "test0.wav", clips / "test1.wav", "--model", "demo"),
        *("--route", "tones.npz", "--route-adapter", "tone=speech.npz", "--sample-len", 4),
    )
    assert outcome.code == 0, outcome.err
    assert re.search(r"test0\.wav: plain \(\d+\.\d %\), transcribed with the base", outcome.out)
    assert re.search(r"test1\.wav: tone \(\d+\.\d %\), transcribed with adapter speech\.npz", outcome.out)

    wrong = run_main(
        transcribe, "--audio", clips / "test0.wav", "--route", "tones.npz", "--route-adapter", "x=speech.npz"
    )
    assert "--route-adapter must be CLASS=ADAPTER, of the classes plain, tone; got 'x=speech.npz'" in wrong.err
