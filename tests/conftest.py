"""Fixtures for tests of all folders: models, clips and a way to run commands."""

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import mlx.core as mx
import pytest

from mlx_whisper_lora.cli.run import run_command
from mlx_whisper_lora.whisper.assets import DEMO_CLIPS, DEMO_MODEL
from mlx_whisper_lora.whisper.checkpoints.load import load_model
from mlx_whisper_lora.whisper.checkpoints.save import save_model
from mlx_whisper_lora.whisper.model.whisper import Whisper
from tests.support.clips import write_clips
from tests.support.models import small_model
from tests.support.processes import Outcome, signals_as_they_were

# In the background and under nohup, signals are ignored, and so they would be in the programs that tests start.
for _number, _handler in {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}.items():
    if signal.getsignal(_number) == signal.SIG_IGN:
        signal.signal(_number, _handler)


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory) -> Path:
    """Return a folder with a small random model."""
    folder = tmp_path_factory.mktemp("model")
    save_model(small_model(), folder)
    return folder


@pytest.fixture
def model(model_folder) -> Whisper:
    """Return the model of `model_folder`, in float32."""
    return load_model(model_folder, mx.float32)


@pytest.fixture
def clips_folder(tmp_path) -> Path:
    """Return a folder of six clips of a second each: the split by content is 3 train, 2 valid, 1 test."""
    return write_clips(tmp_path / "clips")


@pytest.fixture(scope="session")
def demo_model_folder() -> Path:
    """Return the bundled model, for tests that need a trained one."""
    if not (DEMO_MODEL / "config.json").exists():
        pytest.skip("the bundled demo model is not built")
    return DEMO_MODEL


@pytest.fixture(scope="session")
def demo_clips_folder() -> Path:
    if not DEMO_CLIPS.is_dir():
        pytest.skip("the bundled demo clips are not built")
    return DEMO_CLIPS


@pytest.fixture
def run_main(capsys, monkeypatch) -> Callable[..., Outcome]:
    """Return a function that runs a command's module in this process, as its console script would."""

    def run(command: ModuleType, *arguments: str | Path) -> Outcome:
        monkeypatch.setattr(sys, "argv", [command.__name__, *map(str, arguments)])
        capsys.readouterr()
        with signals_as_they_were(), pytest.raises(SystemExit) as ending:
            run_command(command.main, command.build_parser())
        captured = capsys.readouterr()
        return Outcome(ending.value.code or 0, captured.out, captured.err)

    return run
