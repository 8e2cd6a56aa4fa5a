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
