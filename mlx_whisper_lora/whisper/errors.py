"""What goes wrong with the files of a model."""

import struct
import zipfile
import zlib

# What the readers of zip, NumPy, safetensors and pickle files raise when a file is damaged.
DAMAGED_FILE_ERRORS = (
    OSError, ValueError, TypeError, LookupError, AttributeError, EOFError, RuntimeError, MemoryError, OverflowError,
    SyntaxError, struct.error, zlib.error, zipfile.BadZipFile,
)  # fmt: skip


class CheckpointError(ValueError):
    """A model that cannot be loaded or saved; the message names the file and what is wrong with it."""
