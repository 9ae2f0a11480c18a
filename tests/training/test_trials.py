"""Trial runs that pause, and their files."""

from dataclasses import replace

import numpy as np
import pytest
from mlx.utils import tree_flatten

from mlx_whisper_lora.training.callbacks import Callback
from mlx_whisper_lora.training.run_state import read_state
from mlx_whisper_lora.training.trials import Trial, remove_trials, trials_folder
from tests.support.trials import demo_recipe, load_demo


def trained(trial: Trial, until: int) -> dict[str, np.ndarray]:
    model = trial.train(Callback(), until)
    return {name: np.array(array) for name, array in tree_flatten(model.trainable_parameters())}


@pytest.mark.slow
def test_a_trial_pauses_and_gives_the_same_if_its_step_is_asked_for_again(tmp_path):
    """As after a command that was cut off before the score was kept."""
    recipe = replace(demo_recipe(tmp_path, steps_per_report=2, steps_per_eval=8), valid_set=[])
    trial = Trial("candidate1_fold1", recipe, load_demo)
    first, later = trained(trial, 2), trained(trial, 4)
    assert read_state(tmp_path / "a_trials" / "candidate1_fold1_state.npz").place.iteration == 4
    again = trained(trial, 2)
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert any(not np.array_equal(first[name], later[name]) for name in first)


def test_only_files_of_trials_are_removed(tmp_path):
    folder = trials_folder(tmp_path / "a.npz")
    folder.mkdir()
    for name in ("fold1.npz", "fold1_state.npz", "candidate1_fold1.npz", "fold1.txt"):
        (folder / name).touch()
    remove_trials(tmp_path / "a.npz", "fold")
    assert sorted(path.name for path in folder.iterdir()) == ["candidate1_fold1.npz", "fold1.txt"]
    (folder / "fold1.txt").unlink()
    remove_trials(tmp_path / "a.npz", "candidate")
    assert not folder.exists()
