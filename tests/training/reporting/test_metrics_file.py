"""The numbers of a run as lines of JSON."""

import json

from mlx_whisper_lora.training.reporting.metrics_file import MetricsFile
from tests.support.events import play_run


def lines(folder) -> list[dict]:
    return [json.loads(line) for line in (folder / "te_metrics.jsonl").read_text().splitlines()]


def test_every_report_and_evaluation_is_a_line(tmp_path):
    play_run(MetricsFile(tmp_path / "te.npz"), tmp_path / "te.npz")
    start, base, base_on_english, step, better, english, save, last, _, end = lines(tmp_path)
    assert (start["event"], start["model"], start["train_clips"], start["settings"]["rank"]) == ("start", "tiny", 3, 16)
    assert start["trainable_parameters"] == 3
    assert (base["event"], base["iteration"], base["candidate"], base["valid/wer"]) == ("evaluation", 0, "base", 90.0)
    assert (step["event"], step["iteration"], step["train/loss"], step["speed/audio_per_second"]) == ("step", 2, 1.5, 8)
    assert (better["iteration"], better["candidate"], better["valid/cer"]) == (2, None, 5.0)
    assert base_on_english["valid_english/wer"] == 10.0 and english["valid_english/wer"] == 90.0
    assert (save["event"], save["file"], save["best"]) == ("save", "te.npz", True)
    assert last["train/loss"] is None  # JSON has no infinity
    assert (end["event"], end["iteration"], end["valid/wer"]) == ("end", 2, 10.0)


def test_a_run_that_resumes_adds_its_lines_and_another_replaces_them(tmp_path):
    for resumed_from, runs in ((None, 1), ("te.npz", 2), (None, 1)):
        play_run(MetricsFile(tmp_path / "te.npz"), tmp_path / "te.npz", resumed_from)
        assert [line["event"] for line in lines(tmp_path)].count("start") == runs
