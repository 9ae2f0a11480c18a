"""Command lines that are made of dataclasses."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from mlx_whisper_lora.cli.options import CommandParser, add_options, from_args
from mlx_whisper_lora.whisper.option import OptionError, check_ranges, documented, option


@documented
@dataclass(frozen=True)
class Recipe:
    """How to bake."""

    batch_size: int = option(16, "Loaves at a time.", minimum=1)
    salt: float | None = option(0.5, "Share of salt, in %.", above=0, below=3)
    grains: tuple[str, ...] = option(("rye",), "Grains, separated by commas.")
    oven: str = option("gas", "Kind of oven.", choices=("gas", "wood"))
    steam: bool = option(False, "Add steam.")
    spice: str | Sequence[str] | None = option(None, "Spices, one a flag.", repeats=True)
    notes: int = 0  # not declared as an option: no flag

    def __post_init__(self):
        check_ranges(self)


def parse(*arguments: str) -> Recipe:
    parser = CommandParser("bake", "Bake bread.", "")
    add_options(parser, Recipe)
    return from_args(Recipe, parser.parse_args(arguments))


def test_flags_that_are_not_given_leave_the_fields_defaults():
    assert parse() == Recipe()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--batch-size", "2"], Recipe(batch_size=2)),
        (["--batch_size=2"], Recipe(batch_size=2)),
        (["--salt", "None"], Recipe(salt=None)),
        (["--grains", "rye, oats"], Recipe(grains=("rye", "oats"))),
        (["--steam"], Recipe(steam=True)),
        (["--spice", "caraway", "--spice", "fennel"], Recipe(spice=["caraway", "fennel"])),
        (["--steam", "False"], Recipe(steam=False)),
    ],
)
def test_the_type_of_a_field_decides_how_its_flag_is_read(arguments, expected):
    assert parse(*arguments) == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--bathc-size", "2"], "unknown option --bathc-size; did you mean --batch-size?"),
        (["--bath_size=2"], "unknown option --bath-size; did you mean --batch-size?"),
        (["--zzz"], "unknown option --zzz"),
        (["--batch-size", "two"], "argument --batch-size: expected a whole number, got 'two'"),
        (["--salt", "much"], "argument --salt: expected a number, got 'much'"),
        (["--steam", "some"], "argument --steam: expected True or False, got 'some'"),
    ],
)
def test_a_wrong_command_line_is_answered_in_two_lines(arguments, message, capsys):
    with pytest.raises(SystemExit) as ending:
        parse(*arguments)
    assert ending.value.code == 2
    assert capsys.readouterr().err == f"bake: error: {message}\nbake --help lists the options\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "`batch_size` must be at least 1, got 0"),
        ({"salt": float("nan")}, "`salt` must be a number, got nan"),
        ({"salt": 3}, "`salt` must be below 3, got 3"),
        ({"oven": "coal"}, "`oven` must be one of gas, wood, got 'coal'"),
    ],
)
def test_a_value_out_of_range_is_refused_by_name_and_by_flag(arguments, message):
    with pytest.raises(OptionError) as caught:
        Recipe(**arguments)
    name = next(iter(arguments))
    assert str(caught.value) == message.replace("`", "")
    assert caught.value.with_flags() == message.replace(f"`{name}`", "--" + name.replace("_", "-"))


def test_help_and_docstring_come_from_the_fields(capsys):
    with pytest.raises(SystemExit):
        parse("--help")
    shown = " ".join(capsys.readouterr().out.split())
    assert "--batch-size N Loaves at a time. Default: 16." in shown
    assert "--salt X Share of salt, in %. Default: 0.5." in shown
    assert "--notes" not in shown
    assert "batch_size: Loaves at a time." in Recipe.__doc__
