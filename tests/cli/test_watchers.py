"""What a command line asks for to watch training with."""

import pytest

from mlx_whisper_lora import lora
from mlx_whisper_lora.cli.lora_options import CommandOptions, build_parser
from mlx_whisper_lora.cli.options import from_args
from mlx_whisper_lora.cli.watchers import watchers
from mlx_whisper_lora.training.reporting import tensorboard
from mlx_whisper_lora.training.run_options import RunOptions


def test_the_file_of_numbers_is_always_written(monkeypatch):
    monkeypatch.setattr(tensorboard, "check_package", lambda *_: None)
    for given, names in (((), []), (("--report-to", "tensorboard"), ["TensorBoard"]), (("--report-to", "jsonl"), [])):
        args = build_parser().parse_args(["--train", *given])
        report_to = from_args(CommandOptions, args).report_to
        found = watchers("mlx_whisper_lora.lora", build_parser(), report_to, RunOptions(), [])
        assert [type(each).__name__ for each in found] == ["SavedOptions", "MetricsFile", *names, "ReportPage"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--train", "--report-to", "mlflow"), "--report-to takes jsonl, tensorboard, wandb, got 'mlflow'"),
        (("--test", "--report-to", "wandb"), "--report-to is about training: give --train"),
    ],
)
def test_unknown_names_and_tests_are_refused(given, message, run_main):
    outcome = run_main(lora, *given)
    assert (outcome.code, outcome.err) == (2, f"mlx_whisper_lora.lora: error: {message}\n")
