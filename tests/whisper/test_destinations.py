"""Places that files are to be written to."""

import ctypes
import os
from pathlib import Path

import pytest

from mlx_whisper_lora.whisper.atomic_files import atomic_write
from mlx_whisper_lora.whisper.destinations import check_file, check_folder, check_replaceable

READ_ONLY = 1  # MS_RDONLY of mount


@pytest.fixture
def read_only(tmp_path):
    """A folder that cannot be written, for root neither."""
    folder = tmp_path / "locked"
    folder.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    mounted = os.geteuid() == 0 and libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", READ_ONLY, b"size=16k") == 0
    if os.geteuid() == 0 and not mounted:
        pytest.skip("root can write everywhere, and may not mount a file system here")
    folder.chmod(0o555) if not mounted else None
    yield folder
    libc.umount(os.fsencode(folder)) if mounted else folder.chmod(0o755)


def test_good_places_stay_as_they_are(tmp_path):
    (tmp_path / "x.txt").write_text("old")
    check_file(tmp_path / "x.txt")
    check_file(tmp_path / "new.txt")
    check_folder(tmp_path)
    check_folder(tmp_path / "a" / "b")
    assert [path.name for path in tmp_path.iterdir()] == ["x.txt"] and (tmp_path / "x.txt").read_text() == "old"


def test_a_folder_that_cannot_be_written_is_named(read_only):
    for check, place in ((check_file, read_only / "x.txt"), (check_folder, read_only), (check_folder, read_only / "a")):
        with pytest.raises(OSError, match="no file can be written in this folder") as error:
            check(place)
        assert error.value.filename == str(read_only)


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path):
    (tmp_path / "x").write_text("")
    with pytest.raises(NotADirectoryError, match="this is not a folder") as error:
        check_folder(tmp_path / "x" / "y")
    assert error.value.filename == str(tmp_path / "x")


def test_a_link_to_nowhere_is_reported_and_one_to_a_new_file_is_followed(tmp_path):
    (tmp_path / "nowhere.txt").symlink_to(tmp_path / "no" / "x.txt")
    (tmp_path / "new.txt").symlink_to(tmp_path / "x.txt")
    with pytest.raises(FileNotFoundError, match="a link into a folder that does not exist"):
        check_replaceable(tmp_path / "nowhere.txt")
    check_file(tmp_path / "new.txt")


@pytest.mark.parametrize("kind", ["device", "link", "pipe", "folder"])
def test_only_files_are_replaced(kind, tmp_path):
    path = tmp_path / "x.npz"
    if kind == "device":
        path = Path(os.devnull)
    elif kind == "link":
        path.symlink_to(os.devnull)
    else:
        os.mkfifo(path) if kind == "pipe" else path.mkdir()
    before = path.stat()
    for attempt in (check_file, check_replaceable, lambda path: atomic_write(path).__enter__()):
        with pytest.raises(OSError, match=r"this is a (device or a pipe|folder)") as error:
            attempt(path)
        assert error.value.filename == str(path)
    assert path.stat() == before
    assert not list(tmp_path.glob(".*"))
