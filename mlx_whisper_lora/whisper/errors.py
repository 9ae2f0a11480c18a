"""Errors of model files, and the errors that parsers raise on damaged bytes.

Each tuple belongs to one parser. A `try` that catches it holds a call of that parser and no code of ours, so that a bug
of ours is never reported as a damaged file.
"""

import struct
import tokenize
import zipfile
import zlib

# Python's `zipfile`. RuntimeError stands for encrypted members and, as NotImplementedError, for unknown compressions.
ZIP_ERRORS = (OSError, EOFError, ValueError, RuntimeError, struct.error, zipfile.BadZipFile, zlib.error)
# `numpy.load` of an .npz file, which parses the header of each array as a Python expression.
NPZ_ERRORS = (*ZIP_ERRORS, TypeError, MemoryError, OverflowError, SyntaxError, tokenize.TokenError)


class CheckpointError(ValueError):
    """A model cannot be loaded or saved. The message names the file and what is wrong with it."""


def one_line(error: Exception) -> str:
    """Return the message of an error as one line, or the name of its type if it has no message."""
    lines = (line.strip() for line in str(error).replace("\r\n", "\n").split("\n"))
    return " ".join(filter(None, lines)) or type(error).__name__
