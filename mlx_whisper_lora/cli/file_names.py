"""Options that name a file to write."""

from collections.abc import Callable
from typing import Any

from mlx_whisper_lora.whisper.option import option


def file_option(suffix: str, about: str) -> Any:
    """Return the field of an option for the name of a file, which ends in a suffix.

    Args:
        suffix: such as ".json", so that no recording or table is replaced by mistake.
        about: the help.
    """
    return option(None, about, metavar=f"FILE{suffix}", parse=_named(suffix), shown_default="none")


def _named(suffix: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if not text.casefold().endswith(suffix):
            raise ValueError(f"expected the name of a file that ends in {suffix}, got {text!r}")
        return text

    return parse
