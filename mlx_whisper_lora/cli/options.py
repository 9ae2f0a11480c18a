"""Command lines from dataclasses of options, and a parser that answers a mistyped flag in two lines."""

import argparse
import difflib
import sys
import types
import typing
from collections.abc import Callable, Collection
from dataclasses import Field, fields
from typing import Any, NoReturn, TypeVar

from mlx_whisper_lora.whisper.option import OptionError, flag, with_flags
from mlx_whisper_lora.whisper.terminal import encodable, terminal_text

T = TypeVar("T")


class CommandParser(argparse.ArgumentParser):
    """A parser that takes flags in both spellings, --batch-size and --batch_size, and names the nearest known flag."""

    def __init__(self, prog: str, description: str, examples: str):
        super().__init__(prog, description=description, epilog=examples, formatter_class=_HelpFormatter)

    def parse_args(self, args=None, namespace=None):
        """Parse the command line. Exit with code 2 after two lines if it cannot be understood."""
        given = sys.argv[1:] if args is None else list(args)
        end = given.index("--") if "--" in given else len(given)  # only file names follow
        options, unknown = self.parse_known_args([*map(hyphenated, given[:end]), *given[end:]], namespace)
        if unknown:
            self.error(self._unknown(unknown))
        return options

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
            _add_option(parser, each, annotations[each.name], prefix)


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
        raise error.prefixed(prefix) from None


def _add_option(parser: argparse._ActionsContainer, each: Field, annotation: Any, prefix: str) -> None:
    about = each.metadata
    default = with_flags(about["shown_default"] or _shown(each.default), prefix)
    settings: dict[str, Any] = {"help": f"{about['help']} Default: {default}.".replace("%", "%%")}
    kind, optional = _kind(annotation)
    parse = about["parse"] or _PARSERS.get(kind, str)
    if kind is bool:
        settings |= {"nargs": "?", "const": True, "metavar": "BOOL"}
    elif about["choices"]:
        settings["choices"] = about["choices"]
    else:
        settings["metavar"] = about["metavar"] or {int: "N", float: "X"}.get(kind)
    if about["repeats"]:
        settings["action"] = "append"
    settings["type"] = _named(parse, optional and kind is not str)
    # A flag that is not given leaves no trace, so that the field's own default holds.
    names = filter(None, (about["short"], flag(prefix + each.name)))
    parser.add_argument(*names, dest=prefix + each.name, default=argparse.SUPPRESS, **settings)


def _kind(annotation: Any) -> tuple[type, bool]:
    """Return the type of an option without `| None`, and whether it had that."""
    if isinstance(annotation, types.UnionType):
        kinds = [each for each in typing.get_args(annotation) if each is not types.NoneType]
        return _kind(kinds[0])[0], len(kinds) < len(typing.get_args(annotation))
    return typing.get_origin(annotation) or annotation, False


def _shown(default: Any) -> str:
    return ",".join(map(str, default)) if isinstance(default, tuple) else str(default)


def _named(parse: Callable[[str], Any], optional: bool) -> Callable[[str], Any]:
    """Return `parse` for argparse, which shows the message of an ArgumentTypeError alone."""

    def parse_flag(text: str) -> Any:
        if optional and text == "None":
            return None
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parse_flag


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
