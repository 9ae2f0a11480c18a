"""Writing files that are either whole or not there.

A file is written beside its place, flushed to disk and renamed: a full disk, a crash or Ctrl-C leaves the old file.
"""

import contextlib
import errno
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """A path in the same folder and with the same suffix, for the body to write; renamed to `path` if it succeeds.

    For libraries that want a file name, such as `mx.savez` and `mx.save_safetensors`. A link is followed, and an
    existing file's permissions are kept. When the body fails, what it wrote is removed and the error goes on.
    Raises OSError naming `path` when its folder is missing or cannot be written.
    """
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "the folder does not exist", str(target.parent))
    temporary = target.with_name(f".{secrets.token_hex(4)}.partial{target.suffix}")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        if target.exists():
            shutil.copymode(target, temporary)
        temporary.replace(target)
        sync_folder(target.parent)
    except OSError as error:
        if error.filename in (None, str(temporary)):  # a full disk names no file
            error.filename = str(path)  # the user knows this name, not the temporary one
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike, mode: str = "w") -> Iterator[IO]:
    """Open `path` for writing, as "w" (UTF-8 text) or "wb"; it appears under its name only once whole."""
    with (
        atomic_path(path) as temporary,
        temporary.open(mode, encoding=None if "b" in mode else "utf-8") as file,
    ):
        yield file


@contextlib.contextmanager
def name_temp_folder_when_full() -> Iterator[None]:
    """Around writing to a temporary file, whose name means nothing to the user: a full disk is told by its folder."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            error.filename = tempfile.gettempdir()
        raise


@contextlib.contextmanager
def output_folder(folder: str | os.PathLike) -> Iterator[Path]:
    """A folder for the body to write files into, made if it is missing; one that was made goes again when the body
    fails. Raises OSError when it cannot be made."""
    path = Path(folder)
    is_new = not path.exists()
    path.mkdir(parents=True, exist_ok=True)
    try:
        yield path
    except BaseException:
        if is_new:
            shutil.rmtree(path, ignore_errors=True)
        raise


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut, on systems that can open folders."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
