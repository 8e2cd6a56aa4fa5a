"""Reads the text files of a dataset: names, lists, settings, label lines.

Windows' editors write a byte order mark before UTF-8, PowerShell's ``>`` writes UTF-16.
The mark decides, so both are read.
"""

import codecs
from pathlib import Path

from models.errors import DatasetError

UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_text(path: Path) -> str:
    """Return a text file, without its byte order mark.

    Raises:
        DatasetError: It is neither UTF-8 nor UTF-16 with its mark.
        OSError: It cannot be read.
    """
    content = path.read_bytes()
    try:
        return content.decode(_encoding(content))
    except UnicodeDecodeError as exc:
        raise DatasetError(
            f"{path}: not UTF-8.", why=f"{exc}.", fix="Save the file as UTF-8."
        ) from exc


def read_damaged_text(path: Path) -> str:
    """Return a text file; bytes that are no text become the replacement character.

    For files whose lines are each checked and reported.

    Raises:
        OSError: It cannot be read.
    """
    content = path.read_bytes()
    return content.decode(_encoding(content), "replace")


def _encoding(content: bytes) -> str:
    return "utf-16" if content.startswith(UTF_16_MARKS) else "utf-8-sig"
