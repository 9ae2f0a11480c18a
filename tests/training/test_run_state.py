"""A run that is cut off and goes on ends as one that was not."""

import signal
import time
from pathlib import Path

import numpy as np
import pytest

from mlx_whisper_lora.adapters.adapter_file import read_adapter
from mlx_whisper_lora.adapters.errors import AdapterError
from mlx_whisper_lora.adapters.lora import LoRAConfig
from mlx_whisper_lora.data.augmentation.options import AugmentationOptions
from mlx_whisper_lora.data.dataset import build_examples
from mlx_whisper_lora.data.sources import load_clips
from mlx_whisper_lora.training.callbacks import Callback, RunEnd, StepReport
from mlx_whisper_lora.training.finetune import finetune
from mlx_whisper_lora.training.options import OPTIMIZERS, SaveEvery, TrainingOptions
from mlx_whisper_lora.training.run_options import RunOptions
from mlx_whisper_lora.training.run_state import read_state, state_file
from mlx_whisper_lora.whisper.option import OptionError
from mlx_whisper_lora.whisper.stopping import Stop
from mlx_whisper_lora.whisper.transcription.options import TranscriptionOptions
from tests.support.clips import write_clips
from tests.support.models import small_model
from tests.support.processes import start_python

STEPS, KILLS = 9, 5
LORA = LoRAConfig(rank=2, layers=1, targets=("attn.query", "mlp1"), dropout=0.2)


class Cut(Callback):
    """Cuts a run off after a step, and keeps the losses."""

    def __init__(self, step: int | None = None):
        self.cut, self.losses = step, {}

    def step(self, report: StepReport) -> None:
        self.losses[report.iteration] = report.loss
        if report.iteration == self.cut:
            raise Stop(signal.SIGTERM)


def run(folder: Path, callback: Cut, resume: bool = False, augment: str | None = None, **settings) -> RunEnd:
    """Train on the clips of a folder, with much that is random. Return the end."""
    model = small_model(n_text_ctx=448)
    clips = load_clips(folder)
    train_set, valid_set = (build_examples(clips[split], model).examples for split in ("train", "valid"))
    quick = {"iters": STEPS, "batch_size": 2, "steps_per_eval": 3, "steps_per_report": 1, "val_clips": 1}
    mixed = {"pack": 0.3, "full_context_share": 0.3, "audio_context": 2.0, "learning_rate": 0.01}
    short = TranscriptionOptions(sample_len=8, temperature=0.0)
    options = RunOptions("base", adapter_file=str(folder / "a.npz"), resume=resume, transcription=short)
    training = TrainingOptions(**quick | mixed | settings)
    augmentation = AugmentationOptions(augment=augment)
    return finetune(model, train_set, valid_set, options, training, LORA, callback, augmentation)


def folder_of_clips(folder: Path) -> Path:
    """Write eight clips, two of which are for validation."""
    write_clips(folder, [f"word {i}" for i in range(8)], seconds=0.7)
    rows = (folder / "metadata.jsonl").read_text().splitlines()
    rows = [row[:-1] + f', "split": "{"valid" if i > 5 else "train"}"}}' for i, row in enumerate(rows)]
    (folder / "metadata.jsonl").write_text("\n".join(rows))
    return folder


@pytest.fixture
def whole(tmp_path):
    """Return a function that runs without a cut in a folder of its own: its arrays and losses."""

    def train(**settings) -> tuple[dict, dict]:
        callback = Cut()
        run(folder_of_clips(tmp_path / "whole"), callback, **settings)
        return newest(tmp_path / "whole"), callback.losses

    return train


def newest(folder: Path) -> dict[str, np.ndarray]:
    return read_adapter(folder / "a_last.npz").arrays


def assert_equal(found: dict, expected: dict) -> None:
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[name], expected[name]) for name in found)


@pytest.mark.parametrize("cuts", [(3,), pytest.param((1, 5, 8), marks=pytest.mark.slow)])
def test_a_run_that_was_cut_off_ends_bit_for_bit_as_one_that_was_not(cuts, whole, tmp_path):
    expected, losses = whole()
    folder, found = folder_of_clips(tmp_path / "cut"), {}
    for i, cut in enumerate((*cuts, None)):
        callback = Cut(cut)
        if cut:
            with pytest.raises(Stop):
                run(folder, callback, resume=i > 0)
            assert read_state(folder / "a_state.npz").place.iteration == cut
        else:
            end = run(folder, callback, resume=True)
        found |= callback.losses
    assert found == losses
    assert_equal(newest(folder), expected)
    assert not (folder / "a_state.npz").exists()
    assert end.base is not None and end.best is not None


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_goes_on(optimizer, whole, tmp_path):
    settings = {"optimizer": optimizer, "learning_rate": None, "augment": "light", "grad_accumulation_steps": 2}
    settings |= {"ema": 0.9, "average_last": 2}
    expected, _ = whole(**settings)
    folder = folder_of_clips(tmp_path / "cut")
    with pytest.raises(Stop):
        run(folder, Cut(5), **settings)
    run(folder, Cut(), resume=True, **settings)
    assert_equal(newest(folder), expected)


KILLED = """
import sys
from pathlib import Path
from tests.training.test_run_state import Cut, run
folder = Path(sys.argv[1])
class Speaking(Cut):
    def step(self, report):
        print("step", report.iteration, flush=True)
run(folder, Speaking(), resume=(folder / "a_state.npz").exists(), save_every="1", iters=30)
"""


@pytest.mark.slow
def test_a_run_that_is_killed_at_random_moments_ends_as_one_that_was_not(whole, tmp_path):
    """No file is ever unreadable, and little more than a step is lost."""
    expected, _ = whole(save_every="1", iters=30)
    folder = folder_of_clips(tmp_path / "killed")
    random = np.random.default_rng(0)
    for _ in range(KILLS):
        process = start_python("-c", KILLED, folder)
        process.stdout.readline()  # it trains
        time.sleep(random.uniform(0, 0.3))
        process.kill()
        process.communicate()
        for file in folder.glob("a*.npz"):
            (read_state if "state" in file.name else read_adapter)(file)
    assert start_python("-c", KILLED, folder).wait(60) == 0
    assert_equal(newest(folder), expected)


def test_a_state_is_for_its_own_run_alone(tmp_path):
    folder = folder_of_clips(tmp_path)
    with pytest.raises(AdapterError, match=r"a_state\.npz: there is no state of an interrupted run"):
        run(folder, Cut(), resume=True)
    with pytest.raises(Stop):
        run(folder, Cut(4))
    with pytest.raises(OptionError, match=r"a_state\.npz: the clips or the options are not those of that run"):
        run(folder, Cut(), resume=True, iters=STEPS + 1)
    for file in folder.glob("a*.npz"):
        if "state" not in file.name:
            file.unlink()
    with pytest.raises(OptionError, match=r"a_state\.npz: the state of another run, which was cut off; go on with it"):
        run(folder, Cut())
    content = state_file(folder / "a.npz").read_bytes()
    state_file(folder / "a.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(AdapterError, match=r"a_state\.npz: not the state of a run, or damaged"):
        run(folder, Cut(), resume=True)


def test_when_a_run_is_saved():
    steps, minutes = SaveEvery.parse("200"), SaveEvery.parse("1.5m")
    assert [steps.is_due(i, 1e9) for i in (199, 200, 400)] == [False, True, True]
    assert [minutes.is_due(200, seconds) for seconds in (89, 90)] == [False, True]
    for text in ("0", "0m", "-1", "m", "ten", "1.5"):
        with pytest.raises(OptionError, match="save_every must be a number of steps"):
            TrainingOptions(save_every=text)
