"""Picture files as cameras, phones and broken transfers leave them."""

import struct
import zlib

import cv2
import numpy as np

from tests.simulators.photos import plate


def jpeg(size_px: int = 64, *parameters: int) -> bytes:
    picture = plate(np.random.default_rng(0), size_px)
    return cv2.imencode(".jpg", picture, parameters)[1].tobytes()


def with_thumbnail(content: bytes, orientation: int = 1) -> bytes:
    """Return a JPEG with EXIF: its orientation and a small picture, a JPEG itself."""
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0"
    exif += struct.pack("<HHI", orientation, 0, 0) + jpeg(16)
    segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    return content[:2] + segment + content[2:]


def absurd_png() -> bytes:
    """Return a PNG whose header declares 60000 x 60000 pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        checked = name + data
        checksum = struct.pack(">I", zlib.crc32(checked))
        return struct.pack(">I", len(data)) + checked + checksum

    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    rows = chunk(b"IDAT", zlib.compress(bytes(99)))
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    return start + rows + chunk(b"IEND", b"")


def png_chunk(name: bytes, data: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(name + data))
    return struct.pack(">I", len(data)) + name + data + checksum


def png_file(
    rows: np.ndarray, bits: int, colour_type: int, *chunks: bytes, passes: int = 0
) -> bytes:
    """Return a PNG of any kind that the format knows.

    Args:
        rows: ``[H, W]`` or ``[H, W, C]``; palette indices or values.
        bits: Of a sample, 1 to 16.
        colour_type: 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGB and alpha.
        chunks: Before the pixels.
        passes: 1 = interlaced (Adam7).
    """
    height, width = rows.shape[:2]
    adam7 = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4)]
    adam7 += [(2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    raw = b""
    for top, left, down, right in adam7 if passes else [(0, 0, 1, 1)]:
        part = rows[top::down, left::right]
        raw += b"".join(b"\0" + packed(row, bits) for row in part if row.size)
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, passes)
    content = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + b"".join(chunks)
    content += png_chunk(b"IDAT", zlib.compress(raw))
    return content + png_chunk(b"IEND", b"")


def packed(values: np.ndarray, bits: int) -> bytes:
    """Return values of a few bits in a row of bytes, high bits first."""
    if bits in {8, 16}:
        return values.astype(f">u{bits // 8}").tobytes()
    text = "".join(f"{int(value):0{bits}b}" for value in values.ravel())
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")


# Tags of a TIFF that the tests set.
SUBFILE, BITS, PHOTOMETRIC, ORIENTATION, SAMPLES = 254, 258, 262, 274, 277
PLANAR, EXTRA_SAMPLES, SAMPLE_FORMAT, DNG_VERSION = 284, 338, 339, 50706


def tiff_file(
    pixels: bytes, size_px: tuple[int, int], tags: dict[int, list[int]], pages: int = 1
) -> bytes:
    """Return an uncompressed TIFF: its directories, their values, its pixels.

    Args:
        pixels: All of them, in one strip, used by each page.
        size_px: Width and height.
        tags: More tags, or other values.
    """
    width, height = size_px
    every: dict[int, list[int]] = {256: [width], 257: [height], 259: [1]}
    every |= {PHOTOMETRIC: [1], 273: [0], SAMPLES: [1], 278: [height]}
    every |= {279: [len(pixels)]} | tags
    directory_bytes = 2 + len(every) * 12 + 4
    values_at = 8 + pages * directory_bytes
    lists = [tag for tag in sorted(every) if len(every[tag]) > 2]
    every[273] = [values_at + sum(2 * len(every[tag]) for tag in lists)]
    content = b"II*\0\x08\0\0\0"
    for page in range(pages):
        content += struct.pack("<H", len(every))
        place = values_at
        for tag in sorted(every):
            row = every[tag]
            if len(row) == 1:
                content += struct.pack("<HHII", tag, 4, 1, row[0])
            elif len(row) == 2:
                content += struct.pack("<HHIHH", tag, 3, 2, *row)
            else:
                content += struct.pack("<HHII", tag, 3, len(row), place)
                place += 2 * len(row)
        is_last = page == pages - 1
        content += struct.pack("<I", 0 if is_last else 8 + (page + 1) * directory_bytes)
    for tag in lists:
        content += struct.pack(f"<{len(every[tag])}H", *every[tag])
    return content + pixels


def damaged_jpeg() -> bytes:
    """Return a JPEG whose second half is missing, but for its end marker."""
    content = jpeg(128)
    return content[: len(content) // 2] + b"\xff\xd9"


def noisy_png(*chunks: bytes) -> bytes:
    """Return a whole PNG about which libpng warns."""
    profile = png_chunk(b"iCCP", b"x\0\0" + zlib.compress(b"no profile"))
    picture = plate(np.random.default_rng(0), 64)
    return png_file(picture[..., ::-1], 8, 2, profile, *chunks)
