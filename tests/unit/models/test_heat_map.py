"""Only the heat map that a line PC writes is accepted."""

import struct
import zlib

import cv2
import numpy as np
import pytest

from models.heat_map import HEAT_MAP_MAX_BYTES, PNG_START, SIDE_MAX_PX, check_heat_map

GREY = (8, 0, 0, 0, 0)


def encoded(shape: tuple[int, ...], dtype: type = np.uint8) -> bytes:
    picture = np.arange(np.prod(shape), dtype=dtype).reshape(shape)
    return cv2.imencode(".png", picture)[1].tobytes()


def chunk(name: bytes, data: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(name + data))
    return struct.pack(">I", len(data)) + name + data + checksum


def png(
    width: int = 3,
    height: int = 2,
    kind: tuple[int, ...] = GREY,
    pixels: bytes | None = None,
    *,
    between: bytes = b"",
) -> bytes:
    """Return a PNG, also one that no encoder writes."""
    header = chunk(b"IHDR", struct.pack(">II", width, height) + bytes(kind))
    rows = bytes(4) * 2 if pixels is None else pixels
    body = chunk(b"IDAT", zlib.compress(rows))
    return PNG_START + header + between + body + chunk(b"IEND", b"")


@pytest.mark.parametrize("shape", [(1, 1), (40, 60), (SIDE_MAX_PX, 100)])
def test_map_of_the_line_pc_is_accepted(shape: tuple[int, int]) -> None:
    assert check_heat_map(encoded(shape)) == shape[::-1]


def test_made_by_hand_is_accepted_too() -> None:
    assert check_heat_map(png()) == (3, 2)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "not a PNG"),
        (b"\xff\xd8\xff" + bytes(100), "not a PNG"),
        (PNG_START, "other parts"),
        (encoded((40, 60))[:-20], "cut off"),
        (encoded((40, 60))[:-3], "cut off"),
        (encoded((40, 60))[:60] + b"x" + encoded((40, 60))[61:], "checksum"),
        (encoded((40, 60, 3)), "8-bit grey"),
        (encoded((40, 60), np.uint16), "8-bit grey"),
        (png(kind=(8, 0, 0, 0, 1)), "8-bit grey"),
        (encoded((SIDE_MAX_PX + 1, 2)), "x 513 pixels"),
        (png(0, 0, pixels=b""), "0 x 0 pixels"),
        (png(2**31, 2**31), "pixels"),
        (png(between=chunk(b"tEXt", b"a\0<script>")), "other parts"),
        (png() + chunk(b"IDAT", b""), "other parts"),
        (png(pixels=bytes(4)), "do not fit"),
        (png(pixels=bytes(4_000_000)), "do not fit"),
        (png(pixels=b"\x05" + bytes(7)), "rows are damaged"),
        (png(between=chunk(b"IDAT", b"no deflate")), "damaged"),
        (png() + bytes(HEAT_MAP_MAX_BYTES), "bytes"),
    ],
)
def test_anything_else_is_refused_with_the_reason(content: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        check_heat_map(content)


def test_every_cut_is_refused() -> None:
    whole = encoded((5, 7))
    for length in range(len(whole)):
        with pytest.raises(ValueError, match=r"^its? "):
            check_heat_map(whole[:length])


def test_one_changed_byte_is_refused() -> None:
    whole = bytearray(encoded((5, 7)))
    for place in range(len(whole)):
        whole[place] ^= 0x5A
        with pytest.raises(ValueError, match=r"^its? "):
            check_heat_map(bytes(whole))
        whole[place] ^= 0x5A
