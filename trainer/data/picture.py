"""From a picture's bytes to its pixels, whatever the file is called or holds."""

import re

import cv2
import numpy as np

from models.preprocess import Frame

JPEG_START = b"\xff\xd8"
JPEG_END = b"\xff\xd9"
JPEG_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")  # those with a length, EOI


def decode(content: bytes) -> Frame | None:
    """Return the pixels of a picture file, turned as the camera meant it.

    Args:
        content: The whole file. Its bytes, not its path, are given to OpenCV: cv2
            crashes on file names that are not UTF-8.

    Returns:
        ``[H, W, 3]`` uint8, BGR; None where it is no whole picture, or has more
        pixels than OpenCV reads.
    """
    if not content or _is_cut_off(content):
        return None
    try:
        picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:  # raised before decoding, of a header with an absurd size
        return None
    return None if picture is None else np.asarray(picture, np.uint8)


def _is_cut_off(content: bytes) -> bool:
    """Return whether a JPEG lacks its end: many decoders fill the rest with grey.

    Markers are followed by the length of their segment, so that the end of an EXIF
    thumbnail is not taken for the picture's own. What follows the end is not looked
    at: phones append a short film.

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
