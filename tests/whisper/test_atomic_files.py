"""Files that are either complete or not there."""

import errno
import os
import signal
import sys
import tempfile
from pathlib import Path

import mlx.core as mx
import pytest

from mlx_whisper_lora.whisper import atomic_files as files
from mlx_whisper_lora.whisper.atomic_files import (
    atomic_path,
    atomic_write,
    name_temp_folder_when_full,
    output_folder,
)
from tests.support.processes import run_python

posix_only = pytest.mark.skipif(os.name != "posix", reason="permissions and links of POSIX")


def test_a_write_replaces_the_file_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("old")
    with atomic_write(path) as file:
        file.write("నమస్కారం\n")
        assert path.read_text() == "old"
    assert path.read_bytes() == "నమస్కారం\n".encode()
    with atomic_write(path, "wb") as file:
        file.write(b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "x.txt"
    path.write_text("old")
    with pytest.raises(error), atomic_write(path) as file:
        file.write("half of the n")
        raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_reported_with_the_name_of_the_file(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"), atomic_write(tmp_path / "x.txt") as file:
        file.write("new")
    assert list(tmp_path.iterdir()) == []


def test_the_temporary_path_keeps_the_suffix(tmp_path):
    path = tmp_path / "weights.safetensors"
    with atomic_path(path) as temporary:
        mx.save_safetensors(str(temporary), {"a": mx.ones(3)})
    assert mx.load(str(path))["a"].tolist() == [1, 1, 1]
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_reported_by_name(tmp_path):
    with pytest.raises(FileNotFoundError) as error, atomic_write(tmp_path / "no" / "x.txt"):
        pass
    assert error.value.filename == str(tmp_path / "no")


@posix_only
@pytest.mark.skipif(sys.platform != "win32" and os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_reported_with_the_name_of_the_file(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(PermissionError) as error, atomic_write(tmp_path / "x.txt"):
            pass
        assert error.value.filename == str(tmp_path / "x.txt")
    finally:
        tmp_path.chmod(0o700)


@posix_only
def test_permissions_and_links_are_kept(tmp_path):
    path, link = tmp_path / "x.txt", tmp_path / "link.txt"
    path.write_text("old")
    path.chmod(0o640)
    link.symlink_to(path)
    with atomic_write(link) as file:
        file.write("new")
    assert link.is_symlink() and path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o640


@posix_only
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666, 0o400])
def test_nobody_else_may_read_what_replaces_a_file_before_it_has_the_permissions_of_that(mode, tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("old")
    path.chmod(mode)
    with atomic_path(path) as temporary:
        assert temporary.stat().st_mode & 0o077 == 0
        temporary.write_text("new")
    assert path.read_text() == "new" and path.stat().st_mode & 0o777 == mode


def leave_a_temporary_file(path: Path, writer: str = "atomic_path(path)") -> None:
    """Start to write in a process that is killed."""
    script = "import os, signal, sys\nfrom mlx_whisper_lora.whisper.atomic_files import atomic_path, output_folder\n"
    script += f"path = sys.argv[1]\nwith {writer} as temporary:\n os.kill(os.getpid(), signal.SIGKILL)\n"
    assert run_python("-c", script, path).code == -signal.SIGKILL


@posix_only
@pytest.mark.slow
def test_what_a_killed_process_left_is_removed_by_the_next_write_of_the_same_file(tmp_path):
    path, other = tmp_path / ("x" * 200 + ".[1].txt"), tmp_path / "y.[1]"
    leave_a_temporary_file(path)
    with atomic_write(other) as file:
        file.write("another file")
    assert len(list(tmp_path.iterdir())) == 2
    with atomic_write(path) as file:
        file.write("new")
    assert sorted(tmp_path.iterdir()) == [path, other]


def test_what_a_living_process_is_writing_is_not_removed(tmp_path):
    path = tmp_path / "x.txt"
    with atomic_write(path) as slow:
        slow.write("slow")
        with atomic_write(path) as quick:
            quick.write("quick")
        assert path.read_text() == "quick"
    assert path.read_text() == "slow" and list(tmp_path.iterdir()) == [path]


def test_a_folder_is_as_it_was_until_all_files_are_written(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("config", "notes", "weights"):
        (folder / name).write_text("old")
    (folder / "weights").chmod(0o600)
    with pytest.raises(KeyboardInterrupt), output_folder(folder, last="config") as path:
        (path / "config").write_text("new")
        raise KeyboardInterrupt
    assert {file.name: file.read_text() for file in folder.iterdir()} == dict.fromkeys(
        ("config", "notes", "weights"), "old"
    )
    with output_folder(folder, last="config") as path:
        for name in ("config", "weights"):
            (path / name).write_text("new")
        assert (folder / "config").read_text() == "old"
    assert {file.name: file.read_text() for file in folder.iterdir()} == {
        "config": "new",
        "notes": "old",
        "weights": "new",
    }
    assert (folder / "weights").stat().st_mode & 0o777 == 0o600


def test_a_folder_whose_files_cannot_all_be_moved_does_not_look_complete(tmp_path):
    (tmp_path / "weights").mkdir()
    (tmp_path / "config").write_text("old")
    with pytest.raises(IsADirectoryError) as error, output_folder(tmp_path, last="config") as path:
        for name in ("config", "weights"):
            (path / name).write_text("new")
    assert error.value.filename == str(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["weights"]


def test_a_new_folder_is_removed_if_it_cannot_be_written(tmp_path):
    with pytest.raises(OSError), output_folder(tmp_path / "new", last="config") as path:
        (path / "config").write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device", str(path / "config"))
    assert list(tmp_path.iterdir()) == []


@posix_only
@pytest.mark.slow
def test_what_a_killed_process_left_in_a_folder_is_removed_by_the_next(tmp_path):
    leave_a_temporary_file(tmp_path / "model", "output_folder(path, last='config')")
    (left,) = (tmp_path / "model").iterdir()
    (left / "weights").write_text("half")
    with output_folder(tmp_path / "model", last="config") as path:
        (path / "config").write_text("new")
    assert [file.name for file in (tmp_path / "model").iterdir()] == ["config"]


@posix_only
def test_new_files_follow_the_umask(tmp_path):
    old = os.umask(0o027)
    try:
        with atomic_write(tmp_path / "x.txt") as file:
            file.write("new")
    finally:
        os.umask(old)
    assert (tmp_path / "x.txt").stat().st_mode & 0o777 == 0o640


def test_a_full_temporary_folder_is_reported_by_name():
    with pytest.raises(OSError) as full, name_temp_folder_when_full():
        raise OSError(errno.ENOSPC, "No space left on device")
    assert full.value.filename == tempfile.gettempdir()
    with pytest.raises(OSError) as other, name_temp_folder_when_full():
        raise OSError(errno.EIO, "Input/output error")  # of the pipe that is copied from
    assert other.value.filename is None
