"""Recordings by their names."""

import os
from pathlib import Path

SUFFIXES = (
    *(".wav", ".flac", ".mp3", ".opus", ".ogg", ".oga", ".m4a", ".mp4", ".aac", ".webm", ".mkv", ".mov", ".aif"),
    *(".aiff", ".aifc", ".au", ".caf", ".w64", ".wma", ".amr", ".3gp", ".sph"),
)


def is_recording(name: str) -> bool:
    """Return whether a file has the suffix of a recording."""
    return os.path.splitext(name)[1].casefold() in SUFFIXES


def find_sibling(name: str, folder: Path, usual: str) -> str:
    """Return the name of a recording with its suffix, which tables of ids do not give.

    Args:
        name: The name without its suffix, relative to the folder. One that has a suffix is returned unchanged.
        folder: The folder.
        usual: The suffix that is tried first, and returned if there is no recording.
    """
    if is_recording(name):
        return name
    return name + next((suffix for suffix in (usual, *SUFFIXES) if os.path.isfile(folder / (name + suffix))), usual)
