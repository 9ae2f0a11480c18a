"""Curves and transcripts for Weights & Biases, without a network."""

import re

import pytest

from mlx_whisper_lora.training.reporting.weights_and_biases import WeightsAndBiases
from tests.support.events import play_run


@pytest.mark.slow
def test_a_run_without_a_network_keeps_its_numbers_beside_the_adapter(tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="the extra wandb is not installed")
    for name, value in {"MODE": "offline", "SILENT": "true", "DATA_DIR": tmp_path, "CACHE_DIR": tmp_path}.items():
        monkeypatch.setenv(f"WANDB_{name}", str(value))
    play_run(WeightsAndBiases(tmp_path / "te.npz"), tmp_path / "te.npz")
    (run,) = (tmp_path / "wandb").glob("offline-run-*")
    logged = next(run.glob("*.wandb")).read_bytes()  # records of protobuf: a name, two bytes, a length, and JSON
    assert {*re.findall(rb"valid/wer\x82\x01.(\d+)", logged)} == {b"90", b"10"}
    assert b"train/learning_rate\x82\x01\x050.001" in logged
    assert list((run / "files" / "media" / "table" / "valid").glob("transcripts_*.json"))
