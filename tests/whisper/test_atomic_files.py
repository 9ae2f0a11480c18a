"""Files that are either complete or not there."""

import errno
import os
import sys
import tempfile

import mlx.core as mx
import pytest

from mlx_whisper_lora.whisper import atomic_files as files
from mlx_whisper_lora.whisper.atomic_files import atomic_path, atomic_write, name_temp_folder_when_full

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
