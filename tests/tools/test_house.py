"""The imports between the rooms of the package run down."""

import pytest

from tools import house


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
