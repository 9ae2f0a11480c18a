"""The rooms and damaged files: tools/house.py and tools/fuzz."""

import pytest

from tools import house
from tools.fuzz import run as fuzz
from tools.fuzz.good_files import arguments_of, loader_of, write_good_files
from tools.fuzz.worker import LOADERS


@pytest.mark.parametrize(
    ("module", "room"),
    [
        ("mlx_whisper_lora.lora", "commands"),
        ("mlx_whisper_lora.version", "ground"),
        ("mlx_whisper_lora.data.sources.tables", "data"),
        ("mlx_whisper_lora.whisper.errors", "ground"),
        ("mlx_whisper_lora.whisper.audio.load", "whisper.audio"),
    ],
)
def test_every_module_has_a_room(module, room):
    assert house.room_of(module) == room


def test_imports_run_down():
    with pytest.raises(SystemExit) as ending:
        house.main()
    assert ending.value.code == 0


def test_the_files_are_good_before_they_are_damaged(tmp_path):
    write_good_files(tmp_path / "good")
    for path in (tmp_path / "good").glob("*/*"):
        LOADERS[loader_of(path)](*arguments_of(path, tmp_path / "good" / "mlx"))


@pytest.mark.slow
def test_bad_inputs_do_no_harm():
    outcomes, faults = fuzz.run(count=60)
    assert faults == []
    assert {how for _, how in outcomes} == {"read", "refused"}
