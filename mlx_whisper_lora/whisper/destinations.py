"""Check the places that files are to be written to, before the work that they are the result of."""

import errno
import os
import tempfile
from pathlib import Path


def check_file(path: str | os.PathLike) -> None:
    """Check that a file can be written, by writing another one into its folder.

    Raises:
        OSError: the folder is missing or cannot be written, or something else than a file has this name.
    """
    check_replaceable(path)
    folder = Path(os.path.realpath(path)).parent
    if not folder.is_dir():
        raise FileNotFoundError(errno.ENOENT, "the folder for this file does not exist", str(path))
    _try_to_write(folder)


def check_folder(folder: str | os.PathLike) -> None:
    """Check that a folder exists, or can be created, and that files can be written into it.

    Raises:
        OSError: this is not so.
    """
    path = Path(folder)
    while not os.path.lexists(path):
        path = path.parent
    if not path.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "this is not a folder; give another folder for the result", str(path))
    _try_to_write(path)


def check_replaceable(path: str | os.PathLike) -> None:
    """Check that a file may replace what has its name: another file, or nothing.

    Raises:
        OSError: a folder, a device or a pipe has this name, or a link to a place that does not exist.
    """
    target = Path(path)
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, "this is a folder, not a file name", str(path))
    if target.exists() and not target.is_file():
        raise FileExistsError(errno.EEXIST, "this is a device or a pipe; give the name of a file", str(path))
    if target.is_symlink() and not Path(os.path.realpath(path)).parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "this is a link into a folder that does not exist", str(path))


def _try_to_write(folder: Path) -> None:
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(error.errno, f"no file can be written in this folder ({error.strerror})", str(folder)) from None
