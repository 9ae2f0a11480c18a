"""Write files and folders atomically: each is either complete or not there.

A file is written under a temporary name in its folder, flushed to disk and renamed. A full disk, a crash or Ctrl-C
leaves the old file. A process that was killed also leaves its temporary file. The next one that writes the same file
removes it: each process holds a lock on its temporary file, and the system drops the lock of a dead process.
"""

import contextlib
import errno
import fcntl
import glob
import os
import secrets
import shutil
import stat
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from mlx_whisper_lora.whisper.destinations import check_replaceable


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path to write to, and rename it to `path` if the body succeeds.

    Use it for libraries that take a file name, such as `mx.savez`. The temporary path has the folder and the suffix of
    `path`. Links are followed. The permissions of an existing file are kept, and nobody else may read the temporary
    file that replaces one. If the body fails, the temporary file is removed and the error is raised again.

    Raises:
        OSError: the folder of `path` is missing or cannot be written, the disk is full, or `path` is a folder, a device
            or a pipe.
    """
    check_replaceable(path)
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "the folder does not exist", str(target.parent))
    with _naming(path), _temporary(target, is_folder=False) as temporary:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        _copy_permissions(target, temporary)
        temporary.replace(target)
        _sync_folder(target.parent)


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
def output_folder(folder: str | os.PathLike, last: str) -> Iterator[Path]:
    """Yield a temporary folder to write files into, and move them to `folder` if the body succeeds.

    Files of the same names are replaced, and others stay. The folder never looks complete while its files belong to
    different models: the old file `last` is removed first, and the new one is moved last. If the body fails, `folder`
    is unchanged. The temporary folder is inside of it; those that killed processes left are removed.

    Args:
        folder: the folder to write.
        last: the name of the file without which the folder is not complete.

    Raises:
        OSError: the folder cannot be made or written.
    """
    path = Path(folder)
    is_new = not path.exists()
    path.mkdir(parents=True, exist_ok=True)
    try:
        with _naming(path), _temporary(path / "files", is_folder=True) as temporary:
            yield temporary
            files = sorted(temporary.iterdir(), key=lambda file: file.name == last)
            if len(files) > 1:
                (path / last).unlink(missing_ok=True)
            for file in files:
                _copy_permissions(path / file.name, file)
                file.replace(path / file.name)
            _sync_folder(path)
    except BaseException:
        if is_new:
            with contextlib.suppress(OSError):  # another process put files there
                path.rmdir()
        raise


@contextlib.contextmanager
def _naming(path: str | os.PathLike) -> Iterator[None]:
    """Name `path` in an error, because the user does not know the temporary name. A full disk names no file."""
    try:
        yield
    except OSError as error:
        if error.filename is None or ".partial" in str(error.filename):
            error.filename = str(path)
        raise


@contextlib.contextmanager
def _temporary(target: Path, is_folder: bool) -> Iterator[Path]:
    """Make a temporary file or folder beside `target`. Nobody else may read it if `target` exists.

    It is locked, and in the end it is removed if the body did not move it.
    """
    _remove_leftovers(target)
    while True:
        temporary = target.with_name(f"{_prefix(target)}{secrets.token_hex(4)}.partial{target.suffix}")
        if is_folder:
            temporary.mkdir(0o700)
            descriptor = os.open(temporary, os.O_RDONLY)
        else:
            mode = 0o600 if target.exists() else 0o666
            descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)
        with contextlib.suppress(OSError):  # a network drive may have no locks; then, leftovers stay
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if temporary.exists():
            break
        os.close(descriptor)  # another process was faster than the lock, and removed it as a leftover
    try:
        yield temporary
    finally:
        _remove(temporary)
        os.close(descriptor)


def _prefix(target: Path) -> str:
    """Return how the temporary names for `target` begin. It is short: `target` may have the longest name possible."""
    return f".{zlib.crc32(os.fsencode(target.name)):08x}-"


def _remove_leftovers(target: Path) -> None:
    """Remove the temporary files or folders for `target` that nobody holds a lock on."""
    for leftover in target.parent.glob(f"{_prefix(target)}*.partial{glob.escape(target.suffix)}"):
        with contextlib.suppress(OSError):  # one of another user, or on a drive without locks, stays
            descriptor = os.open(leftover, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(leftover)
            finally:
                os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _copy_permissions(old: Path, new: Path) -> None:
    """Give a file the owner and the permissions of the one that it replaces, if there is one."""
    if old.exists():
        status = old.stat()
        with contextlib.suppress(PermissionError):  # only root may give a file away
            os.chown(new, status.st_uid, status.st_gid)
        new.chmod(stat.S_IMODE(status.st_mode))


def _sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
