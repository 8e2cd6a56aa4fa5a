"""Reads picture files; accepts only whole pictures, returns 8-bit BGR.

A file of more than 8 bits a channel states only the size of its numbers: a camera of 12
bits writes 0 to 4095 into 16 bits. Which bits are used is known for a whole dataset,
and stored with the model: its *bit depth*. Values are shifted right until 8 bits are
left. A picture is never stretched by its own values: that would change the brightness
between two photos. Values that fill 16 bits, also those of a camera that writes its 12
bits into the upper ones, have a bit depth of 16.
"""

import math
import os
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from models.counted import counted
from models.decoder_output import decode_watched
from models.files import read_regular
from models.picture_header import PictureHeader, read_header
from models.preprocess import Frame
from models.value_types import PIXELS_MAX

PicturePixels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]  # [H, W, 3] BGR

PICTURE_SUFFIXES = frozenset(
    {".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
)
# Suffixes of pictures in formats that are not read, or under a name that is not.
OTHER_PICTURE_SUFFIXES = frozenset(
    {".avif", ".dng", ".exr", ".gif", ".hdr", ".heic", ".heif", ".j2k", ".jfif"}
    | {".jif", ".jp2", ".jpe", ".jpf", ".jpx", ".jxl", ".pbm", ".pfm", ".pgm", ".pic"}
    | {".pnm", ".ppm", ".psd", ".ras", ".sr", ".tga", ".arw", ".cr2", ".cr3", ".nef"}
    | {".orf", ".raf", ".raw", ".rw2"}
)
BIT_DEPTHS = (8, 10, 12, 14, 16)
FRAME_BITS = 8
FULL_DEPTH = 16

# Decoders take an int for the length of a file. 8 bytes for each of 250 megapixels.
PICTURE_MAX_BYTES = 2_000_000_000
# More pixels than this for each byte of the file are not in it. Deflate shrinks zeros
# to 1/1032, that is 8256 pixels of 1 bit; GIF and JPEG stay below 4096.
# Source: RFC 1951, 3.2.5: 258 bytes in two bits.
PIXELS_PER_BYTE_MAX = 8300
PACKED_LOOSELY = ("JPEG", "PNG", "GIF", "BMP")  # formats for which that holds

LOG_LEVEL = "OPENCV_LOG_LEVEL"  # read by OpenCV itself

JPEG_START = b"\xff\xd8"
JPEG_END = b"\xff\xd9"
JPEG_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")  # those with a length, EOI
JPEG_SCAN = b"\xff\xda"
# A scan may have a few bytes and still goes through all pixels. Encoders write at most
# some 20; 10 scans of the largest picture are read.
# Source: "Two Issues with the JPEG Standard", libjpeg-turbo, 2016 (CWE-400).
SCANS_MAX = 100
SCANNED_PIXELS_MAX = 15 * PIXELS_MAX
COPY_AGAIN = "Copy it again, or remove it."
STATE_DEPTH = "State how many bits hold data, or save it with 8 bits a channel."


class PictureError(Exception):
    """A file is not a picture that can be read.

    Args:
        why: What it is; a phrase after the file's name.
        fix: The next action of a person.
    """

    def __init__(self, why: str, fix: str = COPY_AGAIN) -> None:
        super().__init__(why)
        self.fix = fix


class BitDepthError(PictureError):
    """A picture of more than 8 bits has no bit depth, or values above it."""


def read_picture(path: Path, bit_depth: int | None = None) -> Frame:
    """Return the picture in a file, see ``decode_picture``.

    Raises:
        OSError: The file cannot be read.
        PictureError: It does not hold a picture that can be read.
    """
    # cv2.imread is not used: it fails on file names that are not UTF-8.
    return decode_picture(read_regular(path, PICTURE_MAX_BYTES), bit_depth)


def decode_picture(content: bytes, bit_depth: int | None = None) -> Frame:
    """Return the pixels of a picture file, rotated by its EXIF orientation.

    Args:
        content: The whole file, in any format that OpenCV reads.
        bit_depth: Bits that hold data in a picture of more than 8 bits a channel, one
            of ``BIT_DEPTHS``; None = it is refused.

    Returns:
        ``[H, W, 3]`` uint8, BGR; grey is three equal channels, alpha is dropped, a
        colour profile is not applied.

    Raises:
        PictureError: It is not a whole picture, states more than ``PIXELS_MAX`` pixels,
            or is of a kind that is not read.
    """
    return to_frame(decode_pixels(content), bit_depth)


def decode_pixels(content: bytes) -> PicturePixels:
    """Return the pixels of a picture file with all their bits.

    A truncated picture is refused: decoders fill the missing part with grey, and a
    model detects no defect there.

    Returns:
        ``[H, W, 3]`` uint8 or uint16, BGR, as ``decode_picture``.

    Raises:
        PictureError: As ``decode_picture``.
    """
    if not content:
        raise PictureError("the file is empty")
    header = read_header(content)
    if header.refusal:
        raise PictureError(f"the file {header.refusal}", header.fix)
    if _is_cut_off(content):
        raise PictureError("the JPEG is cut off")
    _refuse_stated_size(header, len(content))
    _refuse_many_scans(header, content)
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
    picture, damage = _decoded(content, flags)
    if picture is None:
        raise PictureError("damaged, or not a picture")
    if damage:
        raise PictureError(f"damaged: {damage[0]}")
    _refuse_lost_values(picture, header, content)
    return np.asarray(picture)


def to_frame(pixels: PicturePixels, bit_depth: int | None) -> Frame:
    """Return pixels with 8 bits a channel.

    Args:
        pixels: ``[H, W, 3]``; uint8 is returned as it is.
        bit_depth: As in ``decode_picture``.

    Raises:
        BitDepthError: More than 8 bits, without a bit depth or with values above it.
    """
    if pixels.dtype == np.uint8:
        return np.asarray(pixels, np.uint8)
    if bit_depth is None:
        why = "it has more than 8 bits a channel, and no bit depth is known"
        raise BitDepthError(why, STATE_DEPTH)
    largest = int(pixels.max())
    if largest >> bit_depth:
        last = (1 << bit_depth) - 1
        why = f"its values reach {largest}, {bit_depth} bits end at {last}"
        raise BitDepthError(why, STATE_DEPTH)
    return (pixels >> (bit_depth - FRAME_BITS)).astype(np.uint8)


def least_depth(largest: int) -> int:
    """Return the smallest bit depth that holds a value.

    >>> least_depth(255), least_depth(4095), least_depth(4096), least_depth(65535)
    (8, 12, 14, 16)
    """
    return next(depth for depth in BIT_DEPTHS if not largest >> depth)


def _decoded(
    content: bytes, flags: int
) -> tuple[npt.NDArray[np.generic] | None, tuple[str, ...]]:
    """Return what OpenCV decodes, and the damage that its decoders report."""
    if LOG_LEVEL not in os.environ:
        # What fails is reported by the caller.
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    coded = np.frombuffer(content, np.uint8)
    try:
        return decode_watched(lambda: cv2.imdecode(coded, flags))
    except cv2.error as exc:  # raised for a header with an absurd size
        raise PictureError(f"cannot be decoded: {exc.err}") from exc


def _refuse_stated_size(header: PictureHeader, length_bytes: int) -> None:
    """Refuse a picture that would fill the memory, before a decoder allocates it.

    Source:
        CWE-409 (data that grows when it is unpacked), CWE-789 (memory of a stated
        size).
    """
    if header.size_px is None:
        raise PictureError("damaged, or not a picture")
    width, height = header.size_px
    pixels = width * height
    if pixels > PIXELS_MAX:
        why = (
            f"the file states {width} x {height} pixels, at most "
            f"{PIXELS_MAX // 1_000_000} million are read"
        )
        raise PictureError(why, "Save it smaller, or in several parts.")
    is_loose = header.format in PACKED_LOOSELY
    if is_loose and pixels > length_bytes * PIXELS_PER_BYTE_MAX:
        why = (
            f"the file states {width} x {height} pixels, and has only "
            f"{counted(length_bytes, 'byte')}"
        )
        raise PictureError(why)


def _refuse_many_scans(header: PictureHeader, content: bytes) -> None:
    """Refuse a JPEG whose scans would take minutes to decode."""
    if header.format != "JPEG" or header.size_px is None:
        return
    pixels = math.prod(header.size_px)
    most = min(SCANS_MAX, SCANNED_PIXELS_MAX // max(pixels, 1))
    scans = (marker for marker in _jpeg_markers(content) if marker == JPEG_SCAN)
    if len(list(islice(scans, most + 1))) > most:
        why = f"the JPEG goes through its pixels more than {counted(most, 'time')}"
        raise PictureError(why, "Save it again, not as a progressive JPEG.")


def _refuse_lost_values(
    picture: npt.NDArray[np.generic], header: PictureHeader, content: bytes
) -> None:
    """Refuse a picture whose values the decoder changed, or has no use for."""
    if picture.dtype not in {np.dtype(np.uint8), np.dtype(np.uint16)}:
        why = f"the file has values of the type {picture.dtype}"
        raise PictureError(why, STATE_DEPTH)
    if picture.dtype == np.uint8 and header.stated_bits > FRAME_BITS:
        why = f"the file has {header.stated_bits} bits a channel in a form not read"
        raise PictureError(why, STATE_DEPTH)
    if header.has_alpha:
        whole, _ = _decoded(content, cv2.IMREAD_UNCHANGED)
        if whole is not None and whole.shape[2:] == (4,) and whole[..., 3].min() < 255:
            why = "the file is a TIFF with transparent pixels, whose colours get darker"
            raise PictureError(why, "Save it without transparency.")


def _is_cut_off(content: bytes) -> bool:
    """Return whether a JPEG lacks its end marker.

    Bytes after the end are ignored: phones append a short video.
    """
    if not content.startswith(JPEG_START):
        return False
    return all(marker != JPEG_END for marker in _jpeg_markers(content))


def _jpeg_markers(content: bytes) -> Iterator[bytes]:
    """Yield the markers of a JPEG, up to the one of its end.

    The lengths of the segments after the markers are used, so that the markers of an
    EXIF thumbnail are not mistaken for the picture's.

    Source:
        ITU-T T.81, B.1.1: markers, their lengths, and stuffed zeros.
    """
    place = len(JPEG_START)
    while marker := JPEG_MARKER.search(content, place):
        yield marker[0]
        if marker[0] == JPEG_END:
            return
        length = content[marker.end() : marker.end() + 2]
        place = marker.end() + int.from_bytes(length, "big")
