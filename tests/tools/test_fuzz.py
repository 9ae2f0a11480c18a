"""Files damaged at random are refused in one line, fast and in little memory."""

import pytest

from tools import fuzz


def test_the_files_are_good_before_they_are_damaged(tmp_path):
    for name in fuzz.write_good_files(tmp_path):
        fuzz.load(tmp_path / "mlx", tmp_path / name)


@pytest.mark.slow
def test_damaged_files_do_no_harm():
    outcomes, faults = fuzz.run(count=60)
    assert faults == []
    assert {how for _, how in outcomes} == {"read", "refused"}
