"""Write files atomically: a file is either complete or not there.

A file is written under a temporary name in its folder, flushed to disk and renamed. A full disk, a crash or Ctrl-C
leaves the old file.
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

from mlx_whisper_lora.whisper.destinations import check_replaceable


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path to write to, and rename it to `path` if the body succeeds.

    Use it for libraries that take a file name, such as `mx.savez`. The temporary path has the folder and the suffix of
    `path`. Links are followed, and the permissions of an existing file are kept. If the body fails, the temporary file
    is removed and the error is raised again.

    Raises:
        OSError: the folder of `path` is missing or cannot be written, the disk is full, or `path` is a folder, a device
            or a pipe.
    """
    check_replaceable(path)
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
        _sync_folder(target.parent)
    except OSError as error:
        if error.filename in (None, str(temporary)):  # a full disk names no file
            error.filename = str(path)  # the user knows this name, not the temporary one
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike, mode: str = "w") -> Iterator[IO]:
    """Open `path` for writing. The file appears under its name only if the body succeeds.

    Args:
        path: the file to write.
        mode: "w" for UTF-8 text, "wb" for bytes.
    """
    with (
        atomic_path(path) as temporary,
        temporary.open(mode, encoding=None if "b" in mode else "utf-8") as file,
    ):
        yield file


@contextlib.contextmanager
def name_temp_folder_when_full() -> Iterator[None]:
    """Name the temporary folder in a disk-full error; the temporary file's own name would mean nothing to the user."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            error.filename = tempfile.gettempdir()
        raise


@contextlib.contextmanager
def output_folder(folder: str | os.PathLike) -> Iterator[Path]:
    """Make a folder for the body to write files into. If the body fails, remove the folder if this call created it.

    Raises:
        OSError: the folder cannot be made.
    """
    path = Path(folder)
    is_new = not path.exists()
    path.mkdir(parents=True, exist_ok=True)
    try:
        yield path
    except BaseException:
        if is_new:
            shutil.rmtree(path, ignore_errors=True)
        raise


def _sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut, on systems that can open folders."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
