"""An input to try, and what would be wrong with the outcome."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tools.hub import Hub


class Outcome(NamedTuple):
    """What a loader did with an input."""

    how: str  # "read", "refused" or "fault"
    message: str = ""  # of the error
    facts: Any = None  # of what was read, by which a wrong result is known


@dataclass(frozen=True)
class Case:
    """An input."""

    kind: str  # for the statistics
    loader: str  # one of worker.LOADERS
    given: list[str]  # the arguments of the loader: paths, or the name of a repository
    named: str  # what a message must name: the file, its folder, or the repository
    wrong: Callable[[Outcome], str | None]  # says what is wrong with the outcome, if anything is


class Goods(NamedTuple):
    """What cases are made of."""

    folder: Path  # good files
    hub: Hub


Maker = Callable[[Goods, Path, np.random.Generator], Case]  # writes an input into a new folder


def nothing(outcome: Outcome) -> str | None:
    """Accept any outcome but a fault, of which nothing else is known."""
    return None


def unless_refused(outcome: Outcome) -> str | None:
    """Say that an input was read which should have been refused."""
    return "was read, without a word" if outcome.how == "read" else None


def unless(facts: Any) -> Callable[[Outcome], str | None]:
    """Return what says that the facts are others, or that the input was refused."""

    def wrong(outcome: Outcome) -> str | None:
        if outcome.how == "refused":
            return f"was refused: {outcome.message}"
        return None if outcome.facts == facts else f"{outcome.facts} in the place of {facts}"

    return wrong


def unless_refused_or(facts: Any) -> Callable[[Outcome], str | None]:
    """Return what says that something was read, and the facts are others."""
    return lambda outcome: unless(facts)(outcome) if outcome.how == "read" else None
