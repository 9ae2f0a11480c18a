"""Text for the terminal. File names, transcripts and files of strangers may hold characters that control a terminal."""

import re
import sys
from typing import Any

from tqdm import tqdm

# Control characters, such as those that begin escape sequences; marks that turn the direction of writing; separators of
# lines; and bytes of file names that are not text, which Python keeps as surrogates.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def terminal_text(text: object) -> str:
    r"""Return text on one line that a terminal shows and does not obey.

    Unsafe characters, and those that the encoding of standard output lacks, become escapes such as \x1b.
    """
    return encodable(_UNSAFE.sub(lambda match: match[0].encode("unicode_escape").decode(), str(text)))


def encodable(text: str) -> str:
    """Return text with escapes in place of characters that the encoding of standard output lacks."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return text.encode(encoding, errors="backslashreplace").decode(encoding)


_MINUTE = 60.0  # seconds


def progress_bar(iterable: Any = None, desc: str | None = None, **settings: Any) -> tqdm:
    """Return a bar that moves in a terminal and is gone at the end. A log file gets its state after each minute.

    Args:
        iterable: what is done, as for tqdm.
        desc: a title.
        settings: others of tqdm.
    """
    times = () if sys.stderr.isatty() else ("delay", "mininterval", "maxinterval")
    rare: dict[str, Any] = dict.fromkeys(times, _MINUTE)
    return tqdm(iterable, desc, leave=False, **rare, **settings)


def say(text: object) -> None:
    """Print a line to standard output."""
    print(terminal_text(text), flush=True)
