"""The names of files that a command writes."""

from collections.abc import Callable


def named(suffix: str) -> Callable[[str], str]:
    """Return a parser of file names with a suffix, so that no recording or table is replaced by mistake."""

    def parse(text: str) -> str:
        if not text.casefold().endswith(suffix):
            raise ValueError(f"expected the name of a file that ends in {suffix}, got {text!r}")
        return text

    return parse
