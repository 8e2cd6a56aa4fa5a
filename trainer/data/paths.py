"""From names in the files of a dataset to paths: the one place where that happens.

Label files, lists, settings and zips name files. Every such name becomes a path in
``path_below`` alone. It refuses what the system cannot open (a null byte, text that is
not a file name, too many bytes) and what leads out of the dataset's folder.

Source: CWE-22 (paths), CWE-59 (links), CWE-158 (null bytes).
"""

import os
from pathlib import Path

LONGEST_NAME_BYTES = 255  # on every file system in use
LONGEST_PATH_BYTES = 4000  # PATH_MAX of Linux is 4096 with the closing zero
SHOWN_CHARACTERS = 200  # of a value at fault in a message


class UnusableNameError(Exception):
    """A name in a file of the dataset cannot be a path; the text names the reason."""


class OutsideNameError(UnusableNameError):
    """A name leads out of the dataset's folder."""


def path_below(root: Path, folder: Path, name: str) -> Path:
    """Return the path that a name means; nothing is opened.

    ``..`` is resolved in the text, not on the disk: a link inside the dataset stays
    where its owner put it.

    Args:
        root: Folder of the dataset; the result lies in it.
        folder: Where a relative name starts, ``root`` or below.
        name: Any text of a label file, list or setting.

    Raises:
        OutsideNameError: The name leads out of ``root``.
        UnusableNameError: No file can have the name.
    """
    if "\0" in name:
        message = "it holds a null byte"
        raise UnusableNameError(message)
    try:
        parts = os.fsencode(name).split(b"/")
    except UnicodeEncodeError as exc:
        message = "it holds a character that no file name can have"
        raise UnusableNameError(message) from exc
    # Not Path.resolve: it follows links, and raises where one leads to itself.
    path = Path(os.path.normpath(folder.absolute() / name))
    length = max(len(part) for part in parts)
    if length > LONGEST_NAME_BYTES or len(os.fsencode(path)) > LONGEST_PATH_BYTES:
        message = "it is longer than a file name can be"
        raise UnusableNameError(message)
    base = Path(os.path.normpath(root.absolute()))
    if not path.is_relative_to(base):
        # An absolute name may go past the link through which the dataset was given.
        base = Path(os.path.realpath(root))
    if not path.is_relative_to(base):
        message = "it leads out of the dataset's folder"
        raise OutsideNameError(message)
    return root / path.relative_to(base)


def file_below(root: Path, folder: Path, name: str) -> Path:
    """Return the path of a file that a name means; see ``path_below``.

    Raises:
        UnusableNameError: As there, or the name is that of ``root`` itself.
    """
    path = path_below(root, folder, name)
    if path == root:
        message = "it names no file"
        raise UnusableNameError(message)
    return path


def shown(value: object) -> str:
    """Return a name or value at fault as a message shows it, cut short."""
    try:
        text = repr(value)
    except ValueError:  # a number of more digits than Python prints
        text = "a number of thousands of digits"
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"
