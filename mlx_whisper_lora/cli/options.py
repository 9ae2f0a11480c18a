"""Command lines from dataclasses of options, and a parser that answers a mistyped flag in two lines."""

import argparse
import difflib
import sys
import types
import typing
from collections.abc import Callable, Collection, Mapping
from dataclasses import Field, dataclass, fields
from typing import Any, NoReturn, TypeVar

from mlx_whisper_lora.cli.config_file import ConfigError, Entry, Value, read_config
from mlx_whisper_lora.whisper.option import OptionError, flag, with_flags
from mlx_whisper_lora.whisper.terminal import encodable, terminal_text

T = TypeVar("T")


class CommandParser(argparse.ArgumentParser):
    """A parser that takes flags in both spellings, --batch-size and --batch_size, and names the nearest known flag.

    Args:
        prog: the name of the command.
        description: what it does, for its help.
        examples: the end of its help.
        elsewhere: answers to names that options have in other programs, such as "is called `iters` here". They are not
            among its own.
    """

    def __init__(self, prog: str, description: str, examples: str, elsewhere: Mapping[str, str] | None = None):
        super().__init__(prog, description=description, epilog=examples, formatter_class=_HelpFormatter)
        self.elsewhere = elsewhere or {}
        self.implied_config: Callable[[argparse.Namespace], str | None] = lambda options: None

    def add_config_option(self, implied: Callable[[argparse.Namespace], str | None] = lambda options: None) -> None:
        """Add the flag for a file of options, which the other flags override.

        Args:
            implied: returns the file that other flags stand for, if they do.
        """
        self.implied_config = implied
        self.add_argument(
            *("-c", "--config"),
            metavar="FILE.yaml",
            help="Options in a file: a line such as batch_size: 4 for each, named as its flag. Flags override them.",
        )

    def parse_args(self, args=None, namespace=None):
        """Parse the command line. Exit with code 2 after two lines if it, or its file, cannot be understood."""
        given = sys.argv[1:] if args is None else list(args)
        end = given.index("--") if "--" in given else len(given)  # only file names follow
        flags = [hyphenated(each) for each in given[:end]]
        for each in flags:
            name = each.partition("=")[0]
            if each.startswith("--") and _name(name) in self.elsewhere:
                self.error(f"{name} {OptionError(self.elsewhere[_name(name)]).with_flags()}")
        options, unknown = self.parse_known_args([*flags, *given[end:]], namespace)
        if unknown:
            self.error(self._unknown(unknown))
        if config := getattr(options, "config", None) or self.implied_config(options):
            try:
                self._add_config(options, config)
            except ConfigError as error:
                self.error(str(error))
        return options

    def declared(self) -> dict[str, "OptionType"]:
        """Return the options that were added with `add_options`, by their names in the parsed command line."""
        return {action.dest: action.type for action in self._actions if isinstance(action.type, OptionType)}

    def _add_config(self, options: argparse.Namespace, config: str) -> None:
        """Add the values of a file of options that no flag overrides. Raise ConfigError if one cannot be understood."""
        declared = self.declared()
        options.places = {}  # of the values from the file, by name
        flags = {name for name in declared if hasattr(options, name)}
        flags |= {declared[name].excluded(name) for name in flags}
        for entry in read_config(config):
            name = entry.key.replace("-", "_")
            if name not in declared:
                raise ConfigError(self._unknown_key(entry, declared))
            try:
                value = declared[name].read(entry.value)
            except ValueError as error:
                raise ConfigError(f"{entry.place}: {entry.key}: {error}") from None
            if name not in flags:
                setattr(options, name, value)
                options.places[name] = entry.place

    def _unknown_key(self, entry: Entry, declared: Collection[str]) -> str:
        name = entry.key.replace("-", "_")
        if name in self.elsewhere:
            return f"{entry.place}: {entry.key} {OptionError(self.elsewhere[name])}"
        near = difflib.get_close_matches(name, declared, n=1)
        return f"unknown key {entry.key} in {entry.place}" + (f": did you mean {near[0]}?" if near else "")

    def format_help(self) -> str:
        return encodable(super().format_help())

    def _unknown(self, arguments: list[str]) -> str:
        mistyped = next((argument for argument in arguments if argument.startswith("-")), arguments[0])
        name = mistyped.partition("=")[0]
        near = difflib.get_close_matches(name, self._option_string_actions, n=1)
        return f"unknown option {name}" + (f"; did you mean {near[0]}?" if near else "")

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {terminal_text(message)}\n{self.prog} --help lists the options\n")


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str):
        super().__init__(prog, max_help_position=32)


def hyphenated(argument: str) -> str:
    """Spell a flag with hyphens: --batch_size=4 -> --batch-size=4."""
    name, equals, value = argument.partition("=")
    return name.replace("_", "-") + equals + value if name.startswith("--") else argument


def add_options(
    parser: argparse._ActionsContainer,
    options: type,
    only: Collection[str] | None = None,
    prefix: str = "",
) -> None:
    """Add a flag for each field of a dataclass that was declared with `option`.

    Args:
        parser: a parser, or a group of one.
        options: the dataclass.
        only: fields that get a flag. By default, all do.
        prefix: comes before the name of each field: with "lora_", the flag of `rank` is --lora-rank.
    """
    annotations = typing.get_type_hints(options)
    for each in fields(options):
        if each.metadata and (only is None or each.name in only):
            _add_option(parser, options, each, annotations[each.name], prefix)


def from_args(options: type[T], args: argparse.Namespace, prefix: str = "", **others: Any) -> T:
    """Build a dataclass from the flags that were given, and from `others`. Its own defaults fill the rest.

    Args:
        options: the dataclass.
        args: the parsed command line.
        prefix: the one that the flags were added with.
        others: values of fields without a flag.

    Raises:
        OptionError: a value is out of range, or values exclude each other.
    """
    names = [each.name for each in fields(options)]  # type: ignore[arg-type]
    given = {name: getattr(args, prefix + name) for name in names if hasattr(args, prefix + name)}
    try:
        return options(**(given | others))
    except OptionError as error:
        raise error.prefixed(prefix).placed(getattr(args, "places", {})) from None


@dataclass(frozen=True)
class OptionType:
    """Turns the text of a flag, and the value of a key in a file, into the value of an option.

    Attributes:
        options: the dataclass that declares the option.
        field: its field there.
    """

    options: type
    field: Field
    annotation: Any

    def __call__(self, text: str) -> Any:
        """Read the text of a flag. argparse shows the message of an ArgumentTypeError alone."""
        if self.optional and self.kind is not str and text == "None":
            return None
        try:
            return self._parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    def read(self, value: Value) -> Any:
        """Read the value of a key: a text, a list of texts, or None.

        Raises:
            ValueError: the value has another type.
        """
        if value is None and not self.optional:
            raise ValueError("a value is missing")
        if self.field.metadata["repeats"]:
            return None if value is None else [*map(self._parse, [value] if isinstance(value, str) else value)]
        if isinstance(value, list) and self.kind is not tuple:
            raise ValueError("expected one value, got a list")
        return None if value is None else self._parse(",".join(value) if isinstance(value, list) else value)

    def excluded(self, name: str) -> str:
        """Return the name of the option that this one excludes, or its own, which may begin with a prefix."""
        return name.removesuffix(self.field.name) + (self.field.metadata["instead_of"] or self.field.name)

    @property
    def kind(self) -> type:
        """The type of the value, if it is not None."""
        return _kind(self.annotation)[0]

    @property
    def optional(self) -> bool:
        """Whether the value can be None."""
        return _kind(self.annotation)[1]

    @property
    def _parse(self) -> Callable[[str], Any]:
        return self.field.metadata["parse"] or _PARSERS.get(self.kind, str)


def _add_option(parser: argparse._ActionsContainer, options: type, each: Field, annotation: Any, prefix: str) -> None:
    about = each.metadata
    default = with_flags(about["shown_default"] or _shown(each.default), prefix)
    reader = OptionType(options, each, annotation)
    settings: dict[str, Any] = {"help": f"{about['help']} Default: {default}.".replace("%", "%%"), "type": reader}
    if reader.kind is bool:
        settings |= {"nargs": "?", "const": True, "metavar": "BOOL"}
    elif about["choices"]:
        settings["choices"] = about["choices"]
    else:
        settings["metavar"] = about["metavar"] or {int: "N", float: "X"}.get(reader.kind)
    if about["repeats"]:
        settings["action"] = "append"
    # A flag that is not given leaves no trace, so that the field's own default holds.
    names = filter(None, (about["short"], flag(prefix + each.name)))
    parser.add_argument(*names, dest=prefix + each.name, default=argparse.SUPPRESS, **settings)


def _kind(annotation: Any) -> tuple[type, bool]:
    """Return the type of an option without `| None`, and whether it had that."""
    if isinstance(annotation, types.UnionType):
        kinds = [each for each in typing.get_args(annotation) if each is not types.NoneType]
        return _kind(kinds[0])[0], len(kinds) < len(typing.get_args(annotation))
    return typing.get_origin(annotation) or annotation, False


def _name(flag: str) -> str:
    """Return the name of an option: --batch-size -> batch_size."""
    return flag.lstrip("-").replace("-", "_")


def _shown(default: Any) -> str:
    return ",".join(map(str, default)) if isinstance(default, tuple) else str(default)


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(f"expected True or False, got {text!r}")
    return text.lower() == "true"


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"expected a whole number, got {text!r}") from None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"expected a number, got {text!r}") from None


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(","))


_PARSERS: dict[type, Callable[[str], Any]] = {bool: _boolean, int: _integer, float: _number, tuple: _names}
