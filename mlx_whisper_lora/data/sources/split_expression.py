"""Expressions for parts of a data set's splits, such as train+validation, test[:200] or train[80%:]."""

import re
from collections.abc import Callable
from typing import NamedTuple

from mlx_whisper_lora.whisper.option import OptionError

_PART = re.compile(r"(?P<split>[^\[\]+:%\s]+)(\[(?P<first>-?\d+%?)?:(?P<stop>-?\d+%?)?\])?")


class SplitPart(NamedTuple):
    """Consecutive rows of a split. The bounds are those of a Python slice, or percentages."""

    split: str
    first: str | None = None  # such as "100", "-100" or "10%"; None for the start
    stop: str | None = None  # None for the end

    def rows(self, count: Callable[[], int]) -> slice:
        """Return the first row, and the one after the last or None for the end, both counted from the start.

        Args:
            count: Returns the number of rows in the split. It is called only if a bound depends on it.
        """
        if not any(sign in (bound or "") for sign in "%-" for bound in (self.first, self.stop)):
            return slice(int(self.first or 0), None if self.stop is None else int(self.stop))
        n_rows = count()
        return slice(*slice(_row_number(self.first, n_rows), _row_number(self.stop, n_rows)).indices(n_rows)[:2])


def parse_split(expression: str, option: str) -> list[SplitPart]:
    """Parse an expression.

    Args:
        expression: Parts with + between them: train, train[:100], train[-10%:].
        option: The name of the option that has the expression, for the message.

    Raises:
        OptionError: It is not such an expression.
    """
    found = [_PART.fullmatch(part.strip()) for part in expression.split("+")]
    if not all(found):
        raise OptionError(
            f"`{option}` must be splits such as train, train[:80%] or train+validation[100:200], got {expression!r}"
        )
    return [SplitPart(part["split"], part["first"], part["stop"]) for part in found if part]


def _row_number(bound: str | None, n_rows: int) -> int | None:
    """Return a bound as a number of rows. A percentage is rounded to the nearest row."""
    if bound is None or not bound.endswith("%"):
        return None if bound is None else int(bound)
    return round(n_rows * int(bound[:-1]) / 100)
