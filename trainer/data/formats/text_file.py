"""Reads the text files of a dataset: names, lists, settings, label lines.

Windows' editors write a byte order mark before UTF-8, PowerShell's ``>`` writes UTF-16.
The mark decides, so both are read.
"""

import codecs
import errno
from pathlib import Path

from models.errors import DatasetError
from models.files import read_regular
from trainer.data.formats.limits import SETTINGS_MAX_BYTES, TEXT_MAX_BYTES

UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_text(path: Path, max_bytes: int = SETTINGS_MAX_BYTES) -> str:
    """Return a text file, without its byte order mark.

    Args:
        path: Settings or class names.
        max_bytes: Nothing is returned of a larger file.

    Raises:
        DatasetError: It is neither UTF-8 nor UTF-16 with its mark, or too large.
        OSError: It cannot be read.
    """
    try:
        content = read_regular(path, max_bytes)
        return content.decode(_encoding(content))
    except OSError as exc:
        if exc.errno != errno.EFBIG:
            raise
        raise DatasetError(
            f"{path}: {exc.strerror}.",
            why="Settings and class names of a dataset are a page of text.",
            fix="Export the dataset again, or remove the file.",
        ) from exc
    except UnicodeDecodeError as exc:
        raise DatasetError(
            f"{path}: not UTF-8.", why=f"{exc}.", fix="Save the file as UTF-8."
        ) from exc


def read_damaged_text(path: Path, max_bytes: int = TEXT_MAX_BYTES) -> str:
    """Return a text file; bytes that are no text become the replacement character.

    For files whose lines are each checked and reported.

    Args:
        path: A list or labels.
        max_bytes: Nothing is returned of a larger file.

    Raises:
        OSError: It cannot be read, or is larger.
    """
    content = read_regular(path, max_bytes)
    return content.decode(_encoding(content), "replace")


def _encoding(content: bytes) -> str:
    return "utf-16" if content.startswith(UTF_16_MARKS) else "utf-8-sig"
