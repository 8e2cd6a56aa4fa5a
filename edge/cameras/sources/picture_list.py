"""The pictures in a folder, in natural order."""

import re
from pathlib import Path

from models.counted import counted
from models.pictures import OTHER_PICTURE_SUFFIXES, PICTURE_SUFFIXES


def natural_key(path: Path) -> tuple[tuple[int, int, str], ...]:
    """Return a key that sorts ``part-2`` before ``part-10``."""
    pieces = re.split(r"(\d+)", path.name)
    return tuple((1, int(p), p) if p.isdecimal() else (0, 0, p) for p in pieces)


def list_pictures(folder: Path) -> list[Path]:
    """Return the pictures of a folder in natural order; its subfolders are ignored.

    Raises:
        OSError: It is not a folder, or cannot be read.
    """
    pictures = [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file()
    ]
    return sorted(pictures, key=natural_key)


def other_pictures(folder: Path) -> str:
    """Return a sentence on pictures in formats that are not read; empty = none.

    Raises:
        OSError: It is not a folder, or cannot be read.
    """
    names = sorted(
        path.name
        for path in folder.iterdir()
        if path.suffix.lower() in OTHER_PICTURE_SUFFIXES
    )
    if not names:
        return ""
    return (
        f"{counted(len(names), 'picture')} in a format that is not read, the "
        f"first {names[0]}"
    )


def pictures_below(folder: Path) -> str:
    """Return a sentence on pictures in subfolders, where there is none above them.

    Returns:
        Empty = there are pictures in the folder itself, or nowhere.

    Raises:
        OSError: It is not a folder, or cannot be read.
    """
    if list_pictures(folder):
        return ""
    for path in sorted(folder.iterdir()):
        if path.is_dir() and (pictures := list_pictures(path)):
            return (
                f"{counted(len(pictures), 'picture')} in the subfolder {path.name}, "
                "and subfolders are not read"
            )
    return ""
