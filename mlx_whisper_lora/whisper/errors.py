"""What goes wrong with the files of a model."""

import struct
import tokenize
import zipfile
import zlib

# What the readers of zip, NumPy, safetensors and pickle files raise when a file is damaged.
DAMAGED_FILE_ERRORS = (
    OSError, ValueError, TypeError, LookupError, AttributeError, EOFError, RuntimeError, MemoryError, OverflowError,
    SyntaxError, tokenize.TokenError, struct.error, zlib.error, zipfile.BadZipFile,
)  # fmt: skip


def one_line(error: Exception) -> str:
    """What an error says, in one line; the name of its type where it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__


class CheckpointError(ValueError):
    """A model that cannot be loaded or saved; the message names the file and what is wrong with it."""
