"""The command that trains adapters, with folds and a search before training."""

import json
import os
from pathlib import Path

import pytest

from mlx_whisper_lora import lora
from mlx_whisper_lora.adapters.adapter_file import read_adapter, read_adapter_config
from mlx_whisper_lora.data.sources import load_clips
from mlx_whisper_lora.training.console import ConsoleCallback
from mlx_whisper_lora.whisper.assets import DEMO_CLIPS, DEMO_MODEL
from tests.support.clips import write_clips, write_jsonl
from tests.support.processes import run_together

PLAIN = ("--pack", 0, "--full-context-share", 0, "--timestamps-share", 0, "--sample-len", 12)
QUICK = ("--train", "--model", DEMO_MODEL, *PLAIN, "--iters", 4, "--batch-size", 4, "--best-by", "loss")
RATE = ("--learning-rate", 0.01, "--lora-rank", 4)


@pytest.fixture
def few(tmp_path, monkeypatch) -> Path:
    """Return a folder of four of the bundled clips for training and two for validation, and work beside it."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "few"
    folder.mkdir()
    clips = load_clips(DEMO_CLIPS)["train"][:6]
    for split, part in (("train", clips[:4]), ("valid", clips[4:])):
        rows = [{"audio": os.fspath(each.audio), "start": each.start, "end": each.end} for each in part]
        texts = [{"text": each.text, "language": "en"} for each in part]
        write_jsonl(folder / f"{split}.jsonl", [row | text for row, text in zip(rows, texts, strict=True)])
    return folder


@pytest.fixture
def cut(monkeypatch):
    """Returns a function that lets Control-C come when the command prints a text, once."""

    def cut_at(text: str) -> None:
        print_line = ConsoleCallback.__init__.__globals__["terminal_text"]

        def interrupt(line: str) -> str:
            if text in line:
                monkeypatch.undo()
                monkeypatch.chdir(folder)
                raise KeyboardInterrupt
            return print_line(line)

        folder = Path.cwd()
        monkeypatch.setattr("mlx_whisper_lora.training.console.terminal_text", interrupt)

    return cut_at


@pytest.mark.slow
def test_a_run_with_folds_goes_on_by_resume_alone_wherever_it_was_cut_off(run_main, few, cut):
    given = (*QUICK, *RATE, "--data", few, "--folds", 2)
    whole = run_main(lora, *given, "--adapter-file", "whole.npz")
    assert whole.code == 0, whole.err
    cut("Fold 2 of 2, the base")
    outcome = run_main(lora, *given)
    assert outcome.code == 130 and outcome.err.splitlines()[-1].endswith("-m mlx_whisper_lora.lora --resume")
    other = run_main(lora, "--resume", "--seed", 1)
    assert other.code == 2 and "adapters_folds.json: the clips or the options are not those of that run" in other.err
    cut("Iter 1: Saved adapter")  # in the run on all clips
    assert run_main(lora, "--resume").code == 130
    outcome = run_main(lora, "--resume")
    assert outcome.code == 0, outcome.err
    assert "Fold 1 of 2, " not in outcome.out and "Going on after iteration" in outcome.out
    expected, found = read_adapter("whole.npz").arrays, read_adapter("adapters.npz").arrays
    assert all((expected[name] == found[name]).all() for name in expected)
    kept = [json.loads(Path(name).read_text())["scores"] for name in ("whole_folds.json", "adapters_folds.json")]
    assert kept[0] == kept[1]


@pytest.mark.slow
def test_a_search_prints_its_table_and_trains_with_the_best_settings(run_main, few):
    outcome = run_main(lora, *QUICK, "--data", few, "--search", 3, "--search-minutes", 30, "--learning-rate", 1e-9)
    assert outcome.code == 0, outcome.err
    assert "Note: " not in outcome.err
    found = json.loads(Path("adapters_search.json").read_text())
    best = found["candidates"][found["best"] - 1]
    assert read_adapter_config("adapters_last.npz").settings.rank == best["settings"]["rank"]
    table = outcome.out.split("candidate   loss")[1].splitlines()
    assert table[1].split()[0] == str(found["best"])
    assert found["result"] in outcome.out and "the given settings" in outcome.out


def test_trials_are_refused_in_one_line(run_main, few):
    for given, message in (
        (("--test", "--folds", 2), "--folds and --search are about training: give --train"),
        (("--train", "--folds", 1), "--folds must be at least 2, got 1"),
        (("--train", "--search", 0), "--search must be at least 2, got 0"),
        (("--train", "--search-minutes", 5), "--search-minutes is for a search: give --search, the number of settings "
         "to try"),
        ((*QUICK, "--data", few, "--folds", 9), "--folds 9: there are 6 clips, and 9 folds need one each: give fewer "
         "folds"),
    ):  # fmt: skip
        outcome = run_main(lora, *given)
        assert (outcome.code, outcome.err) == (2, f"mlx_whisper_lora.lora: error: {message}\n")


@pytest.mark.slow
def test_several_processes_have_no_trials(model_folder, tmp_path):
    clips = write_clips(tmp_path / "clips")
    given = ("--train", "--model", model_folder, "--data", clips, "--folds", 2, "--adapter-file", tmp_path / "a.npz")
    for each in run_together(2, tmp_path, "-m", "mlx_whisper_lora.lora", *given):
        assert each.code == 2 and each.err.splitlines()[-1] == (
            "mlx_whisper_lora.lora: error: --folds and --search are for one process: leave them out, or do without "
            "mlx.launch"
        )
