"""Options in a file, which flags override."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from mlx_whisper_lora.cli.options import CommandParser, add_options, from_args
from mlx_whisper_lora.whisper.option import OptionError, check_ranges, documented, option


@documented
@dataclass(frozen=True)
class Recipe:
    """How to bake."""

    batch_size: int = option(16, "Loaves at a time.", minimum=1)
    salt: float | None = option(0.5, "Share of salt, in %.", above=0)
    grains: tuple[str, ...] = option(("rye",), "Grains, separated by commas.")
    oven: str | None = option(None, "Kind of oven.", choices=("gas", "no"))
    steam: bool = option(False, "Add steam.")
    spice: str | Sequence[str] | None = option(None, "Spices, one a flag.", repeats=True)
    minutes: int | None = option(None, "Time in the oven.", instead_of="until")
    until: str | None = option(None, "The color to wait for.", instead_of="minutes")

    def __post_init__(self):
        check_ranges(self)
        if self.steam and self.oven == "gas":
            raise OptionError("`steam` and `oven` gas exclude each other")


@pytest.fixture
def bake(tmp_path, monkeypatch):
    """Reads a recipe from the text of a file, and from flags."""
    monkeypatch.chdir(tmp_path)

    def parse(text: str | bytes, *flags: str) -> Recipe:
        Path("x.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
        parser = CommandParser("bake", "Bake bread.", "", elsewhere={"loaves": "is called `batch_size` here"})
        parser.add_config_option()
        add_options(parser, Recipe)
        return from_args(Recipe, parser.parse_args(["-c", "x.yaml", *flags]))

    return parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("batch_size: 2", Recipe(batch_size=2)),
        ("batch-size: 2  # two at a time", Recipe(batch_size=2)),
        ("salt: 1e-3", Recipe(salt=0.001)),  # a text in YAML
        ("salt: null", Recipe(salt=None)),
        ("oven: no", Recipe(oven="no")),  # False in YAML
        ("steam: true", Recipe(steam=True)),
        ("grains: [rye, oats]", Recipe(grains=("rye", "oats"))),
        ("grains: rye, oats", Recipe(grains=("rye", "oats"))),
        ("spice: caraway", Recipe(spice=["caraway"])),
        ("spice:\n- caraway\n- fennel", Recipe(spice=["caraway", "fennel"])),
    ],
)
def test_a_key_has_the_name_of_a_flag_and_its_values(text, expected, bake):
    assert bake(text) == expected


def test_flags_override_the_file(bake):
    text = "batch_size: 2\nspice: [caraway]\nsteam: true\nsalt: 1"
    flags = ("--batch_size", "4", "--spice", "fennel", "--steam", "False")
    assert bake(text, *flags) == Recipe(4, 1.0, spice=["fennel"])


def test_a_flag_overrides_what_it_excludes_in_the_file(bake):
    assert bake("minutes: 40\nsalt: 1", "--until", "brown") == Recipe(salt=1.0, until="brown")
    assert bake("minutes: 40\nuntil: brown") == Recipe(minutes=40, until="brown")  # both come from one place


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("salt: 1\nbath_size: 2", "unknown key bath_size in x.yaml, line 2: did you mean batch_size?"),
        ("zzz: 2", "unknown key zzz in x.yaml, line 1"),
        ("config: y.yaml", "unknown key config in x.yaml, line 1"),
        ("loaves: 2", "x.yaml, line 1: loaves is called batch_size here"),
        ("batch_size: two", "x.yaml, line 1: batch_size: expected a whole number, got 'two'"),
        ("batch-size: 2.5", "x.yaml, line 1: batch-size: expected a whole number, got '2.5'"),
        ("batch_size:", "x.yaml, line 1: batch_size: a value is missing"),
        ("batch_size: [1, 2]", "x.yaml, line 1: batch_size: expected one value, got a list"),
        ("batch_size: 1\nbatch-size: 2", "x.yaml, line 2: batch-size is given twice, first as x.yaml, line 1"),
        ("steam: yes", "x.yaml, line 1: steam: expected True or False, got 'yes'"),
        (
            "bread: {salt: 1}",
            "x.yaml, line 1: expected one value or a list of them, got a group; keys are not grouped here",
        ),
        (
            "oven: !!python/name:os.system",
            "x.yaml, line 1: the tag tag:yaml.org,2002:python/name:os.system is not read",
        ),
        ("", "x.yaml: expected lines such as batch_size: 4"),
        ("- salt", "x.yaml: expected lines such as batch_size: 4"),
        ("salt: 1\nsalt: 2: 3", "x.yaml, line 2: this is not YAML (mapping values are not allowed here)"),
        ("[" * 5000, "x.yaml: this is not YAML (maximum recursion depth exceeded"),
        (b"salt: \xff", "x.yaml: this is not YAML (unacceptable character #x00ff"),
    ],
)
def test_what_is_wrong_in_a_file_is_named_with_its_line(text, message, bake, capsys):
    with pytest.raises(SystemExit) as ending:
        bake(text)
    assert ending.value.code == 2
    found = capsys.readouterr().err
    assert found.startswith(f"bake: error: {message}") and len(found.splitlines()) == 2


def test_a_file_that_is_missing_is_named(bake, capsys):
    with pytest.raises(SystemExit):
        bake("salt: 1", "-c", "y.yaml")
    assert capsys.readouterr().err.startswith("bake: error: y.yaml: No such file or directory\n")


@pytest.mark.parametrize(
    ("text", "flags", "message"),
    [
        ("salt: 1\nbatch_size: 0", (), "x.yaml, line 2: batch_size must be at least 1, got 0"),
        ("oven: coal", (), "x.yaml, line 1: oven must be one of gas, no, got 'coal'"),
        ("batch_size: 2", ("--batch-size", "0"), "--batch-size must be at least 1, got 0"),
        ("oven: gas", ("--steam",), "x.yaml, line 1: --steam and oven gas exclude each other"),
    ],
)
def test_a_value_out_of_range_is_refused_by_its_key_and_line_or_by_its_flag(text, flags, message, bake):
    with pytest.raises(OptionError) as caught:
        bake(text, *flags)
    assert caught.value.with_flags() == message


def test_a_flag_of_another_program_is_answered_with_ours(bake, capsys):
    with pytest.raises(SystemExit):
        bake("salt: 1", "--loaves=2")
    assert capsys.readouterr().err == (
        "bake: error: --loaves is called --batch-size here\nbake --help lists the options\n"
    )
