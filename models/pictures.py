"""Reads picture files; accepts only whole pictures, returns BGR."""

import re
from pathlib import Path

import cv2
import numpy as np

from models.preprocess import Frame

JPEG_START = b"\xff\xd8"
JPEG_END = b"\xff\xd9"
JPEG_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")  # those with a length, EOI


class DamagedPictureError(Exception):
    """A file is not a whole picture; the text states why."""


def read_picture(path: Path) -> Frame:
    """Return the picture in a file, see ``decode_picture``.

    Raises:
        OSError: The file cannot be read.
        DamagedPictureError: It does not hold a whole picture.
    """
    # cv2.imread is not used: it fails on file names that are not UTF-8.
    return decode_picture(path.read_bytes())


def decode_picture(content: bytes) -> Frame:
    """Return the pixels of a picture file, rotated by its EXIF orientation.

    A truncated picture is refused: decoders fill the missing part with grey, and a
    model detects no defect there.

    Args:
        content: The whole file, in any format that OpenCV reads.

    Returns:
        ``[H, W, 3]`` uint8, BGR; grey is three equal channels, alpha is dropped.

    Raises:
        DamagedPictureError: It is not a whole picture, or has more pixels than OpenCV
            reads.
    """
    if not content:
        raise DamagedPictureError("the file is empty")
    if _is_cut_off(content):
        raise DamagedPictureError("the JPEG is cut off")
    try:
        picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as exc:  # raised for a header with an absurd size
        raise DamagedPictureError(f"cannot be decoded: {exc.err}") from exc
    if picture is None:
        raise DamagedPictureError("damaged, or not a picture")
    return np.asarray(picture, np.uint8)


def _is_cut_off(content: bytes) -> bool:
    """Return whether a JPEG lacks its end marker.

    The lengths of the segments after the markers are used, so that the end marker of an
    EXIF thumbnail is not mistaken for the picture's. Bytes after the end are ignored:
    phones append a short video.

    Source:
        ITU-T T.81, B.1.1: markers, their lengths, and stuffed zeros.
    """
    if not content.startswith(JPEG_START):
        return False
    place = len(JPEG_START)
    while marker := JPEG_MARKER.search(content, place):
        if marker[0] == JPEG_END:
            return False
        length = content[marker.end() : marker.end() + 2]
        place = marker.end() + int.from_bytes(length, "big")
    return True
