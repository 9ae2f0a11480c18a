"""Other validation sets of a run."""

import pytest

from mlx_whisper_lora.data.clip import DataError
from mlx_whisper_lora.data.sources import load_clips
from mlx_whisper_lora.training.run_options import RunOptions
from mlx_whisper_lora.training.valid_sets import load_valid_sets
from tests.support.clips import write_clips


def sets(train_folder, *folders, val_clips: int = -1) -> dict[str, list[str]]:
    """Return the texts of validation sets beside the training clips of a folder."""
    options = RunOptions(valid_data=[*map(str, folders)])
    train = load_clips(train_folder)["train"]
    found = load_valid_sets(options, val_clips, train, [])
    return {name: sorted(clip.text for clip in clips) for name, clips in found.items()}


def test_a_set_has_all_clips_of_its_folder_but_those_that_are_trained_on(tmp_path):
    texts = [f"word {i}" for i in range(8)]
    mine, other = write_clips(tmp_path / "mine", texts), write_clips(tmp_path / "other", ["one", "two"], seconds=0.5)
    trained = {clip.text for clip in load_clips(mine)["train"]}
    assert sets(mine, other, mine) == {"other": ["one", "two"], "mine": sorted({*texts} - trained)}
    assert len(sets(mine, other, val_clips=1)["other"]) == 1


def test_sets_whose_folders_have_one_name_are_told_apart(tmp_path):
    mine = write_clips(tmp_path / "mine")
    others = [write_clips(tmp_path / name, seconds=0.5) for name in ("a/en", "b/en", "train")]
    assert sorted(sets(mine, *others)) == sorted(map(str, others))


def test_a_set_of_training_clips_alone_is_refused(tmp_path):
    mine = write_clips(tmp_path / "mine", ["one"])
    with pytest.raises(DataError, match="mine: there are no clips to validate on but those that are trained on"):
        sets(mine, mine)
