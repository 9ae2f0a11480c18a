"""Data folders with weights."""

import pytest

from mlx_whisper_lora.data.sources.weights import parse_weighted
from mlx_whisper_lora.whisper.option import OptionError


@pytest.mark.parametrize(
    ("data", "folder", "weight"),
    [("telugu", "telugu", 1), ("telugu:2", "telugu", 2), ("c:/telugu", "c:/telugu", 1), ("te:lugu:3", "te:lugu", 3)],
)
def test_a_number_after_a_colon_is_a_weight(data, folder, weight):
    assert parse_weighted(data) == (folder, weight)


def test_a_folder_whose_name_ends_in_a_number_is_a_folder(tmp_path):
    (tmp_path / "take:2").mkdir()
    assert parse_weighted(f"{tmp_path}/take:2") == (f"{tmp_path}/take:2", 1)


@pytest.mark.parametrize("weight", ["0", "0.5", "-1"])
def test_a_weight_that_is_not_a_whole_number_from_1_is_refused(weight):
    with pytest.raises(OptionError) as error:
        parse_weighted(f"telugu:{weight}")
    assert (
        error.value.with_flags() == f"--data telugu:{weight} has the weight {weight}; a weight is a whole number from 1"
    )
