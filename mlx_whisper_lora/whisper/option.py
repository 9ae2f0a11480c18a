"""Options that are declared once, as dataclass fields with their help, range and choices.

    @documented
    @dataclass(frozen=True)
    class TrainingOptions:
        "How to train."

        iters: int = option(600, "Training steps.", minimum=1)

        def __post_init__(self):
            check_ranges(self)

Flags, defaults, help texts and docstrings come from these fields (`cli/options.py` makes the flags).
"""

import difflib
import functools
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field, fields
from numbers import Real
from typing import Any, TypeVar

T = TypeVar("T")

_NAME = re.compile(r"`(\w+)`")


class OptionError(ValueError):
    """An option with a wrong value, or options that exclude each other.

    The message names options between backticks. As text, they appear as a function's arguments; a command shows them as
    flags.
    """

    def __str__(self) -> str:
        return _NAME.sub(r"\1", self.args[0])

    def with_flags(self) -> str:
        """Return the message with options as they are typed: --batch-size."""
        return with_flags(self.args[0])

    def prefixed(self, prefix: str) -> "OptionError":
        """Return the same error for options whose names begin with `prefix` on the command line."""
        return OptionError(_NAME.sub(lambda match: f"`{prefix}{match[1]}`", self.args[0]))

    def placed(self, places: Mapping[str, str]) -> "OptionError":
        """Return the same error with the place of an option in a file, whose name is then a key and not a flag.

        Args:
            places: the places of options, by name.
        """
        named = [name for name in _NAME.findall(self.args[0]) if name in places]
        if not named:
            return self
        message = _NAME.sub(lambda match: match[1] if match[1] in places else match[0], self.args[0])
        return OptionError(f"{places[named[0]]}: {message}")


class UnknownOption(OptionError, TypeError):
    """An argument with an unknown name. Like Python's own error for it, this is a TypeError too."""


def flag(name: str) -> str:
    """Return the flag of an option: batch_size -> --batch-size."""
    return "--" + name.replace("_", "-")


def with_flags(text: str, prefix: str = "") -> str:
    """Return a text whose names between backticks are typed as flags, each after a prefix."""
    return _NAME.sub(lambda match: flag(prefix + match[1]), text)


def option(
    default: Any,
    help: str,
    *,
    choices: Sequence[Any] | None = None,
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
    below: float | None = None,
    metavar: str | None = None,
    short: str | None = None,
    parse: Callable[[str], Any] | None = None,
    shown_default: str | None = None,
    repeats: bool = False,
    instead_of: str | None = None,
) -> Any:
    """Declare a dataclass field as an option.

    Args:
        default: the value if the option is not given.
        help: one or two sentences for `--help` and for the docstring.
        choices: the values that the option can have.
        minimum, maximum: the smallest and the largest value allowed.
        above, below: bounds that a value must not reach.
        metavar: a name for the value in `--help`, such as SECONDS.
        short: a short flag beside the long one, such as -o.
        parse: turns the text of a flag into the value. By default the field's type decides. Raises ValueError.
        shown_default: how `--help` describes the default, if its value says too little. A name between backticks is
            an option of the same dataclass.
        repeats: whether the flag can be given several times; the value is then a list.
        instead_of: an option that this one excludes. The flag of one overrides the other in a file of options.
    """
    about = {
        "help": help, "choices": choices, "minimum": minimum, "maximum": maximum, "above": above, "below": below,
        "metavar": metavar, "short": short, "parse": parse, "shown_default": shown_default,
        "repeats": repeats, "instead_of": instead_of,
    }  # fmt: skip
    return field(default=default, metadata=about)


def check_ranges(options: Any) -> None:
    """Check every field of a dataclass of options against its range and its choices.

    None is always allowed: it stands for an option that is off.

    Raises:
        OptionError: a value is not allowed.
    """
    for each in fields(options):
        value, about = getattr(options, each.name), each.metadata
        if value is None:
            continue
        if about.get("choices") and value not in about["choices"]:
            raise OptionError(f"`{each.name}` must be one of {', '.join(map(str, about['choices']))}, got {value!r}")
        if isinstance(value, float) and math.isnan(value):
            raise OptionError(f"`{each.name}` must be a number, got {value}")
        bounds = {
            "at least": (about.get("minimum"), lambda value, bound: value >= bound),
            "at most": (about.get("maximum"), lambda value, bound: value <= bound),
            "above": (about.get("above"), lambda value, bound: value > bound),
            "below": (about.get("below"), lambda value, bound: value < bound),
        }
        for relation, (bound, holds) in bounds.items():
            if bound is not None and not isinstance(value, Real):
                raise OptionError(f"`{each.name}` must be a number, got {value!r}")
            if bound is not None and not holds(value, bound):
                raise OptionError(f"`{each.name}` must be {relation} {bound}, got {value}")


def check_names(given: Iterable[str], known: Iterable[str]) -> None:
    """Check the names of keyword arguments.

    Raises:
        UnknownOption: a name is not known. The message has the nearest one that is.
    """
    known = list(known)
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise UnknownOption(f"unknown argument `{name}`" + (f"; did you mean `{near[0]}`?" if near else ""))


def documented(options: type[T]) -> type[T]:
    """Append the fields of a dataclass of options, with their help, to its docstring.

    Its constructor then answers an unknown argument with the nearest field. So does `dataclasses.replace`.
    """
    declared = fields(options)  # type: ignore[arg-type]
    lines = [f"    {each.name}: {each.metadata['help']}" for each in declared if each.metadata]
    options.__doc__ = "\n".join([(options.__doc__ or "").rstrip(), "", "Options:", *lines, ""])
    construct = options.__init__

    @functools.wraps(construct)
    def checked(self, *values, **named):
        check_names(named, (each.name for each in declared))
        construct(self, *values, **named)

    options.__init__ = checked  # type: ignore[method-assign]
    return options
