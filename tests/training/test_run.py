"""The options of a run, and what they lead to."""

import pytest

from mlx_whisper_lora.adapters import loading
from mlx_whisper_lora.data.sources.hf_options import HubDataOptions
from mlx_whisper_lora.training.run import Run
from mlx_whisper_lora.training.run_options import RunOptions
from mlx_whisper_lora.whisper.errors import CheckpointError
from mlx_whisper_lora.whisper.option import OptionError


def test_the_default_base_is_base_and_demo_for_the_bundled_clips(tmp_path, monkeypatch):
    asked: list[str] = []
    monkeypatch.setattr(loading, "resolve_model", lambda name: asked.append(name) or tmp_path)
    data_set = RunOptions(hub=HubDataOptions(hf_dataset="google/fleurs"))
    for options in (RunOptions(data=str(tmp_path)), data_set, RunOptions()):
        with pytest.raises(CheckpointError):  # the folder has no model
            Run(options, trains=False)
    assert asked == ["base", "base", "demo"]


def test_data_sets_and_folders_are_given_with_weights_or_one_data_set_alone():
    given = ["telugu", "google/fleurs@main:2"]
    assert RunOptions(data=given).folders == [("telugu", 1), ("google/fleurs@main", 2)]
    hub = HubDataOptions(hf_dataset="google/fleurs")
    assert RunOptions(hub=hub).folders == [("google/fleurs", 1)]
    with pytest.raises(OptionError) as error:
        RunOptions(data=given, hub=hub)
    assert error.value.with_flags() == "--data and --hf-dataset exclude each other: give one of them"
