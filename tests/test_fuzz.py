"""Files damaged at random are refused in one line, in no time and in little memory."""

import fuzz


def test_damaged_files_do_no_harm():
    outcomes, faults = fuzz.run(count=60)
    assert faults == []
    assert {how for _, how in outcomes} == {"read", "refused"}
