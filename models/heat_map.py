"""The contract of heat maps: what the class ``unknown`` says of each place of a frame.

In the output of the graph the last anchors are the cells of ``unknown``, row by row,
one for each 16 x 16 pixels of the input. A cell that is a box has its score; every
other one has its own score with a minus, which no threshold accepts. So the scores of
all cells are in the one output of the graph, also for line PCs that read only boxes.

A heat map is a PNG of 8-bit grey that covers the frame: 0 is the score 0, 255 the score
1. The line PC keeps it beside the full picture; the dashboard takes it from the
network, so it is checked here byte by byte, without a decoder of pictures.
"""

import struct
import zlib
from collections.abc import Iterator

UNKNOWN_LABEL = "unknown"  # the class of what no class names
CELL_PX = 16  # of the input; one cell of ``unknown``
SIDE_MAX_PX = 512  # of the PNG
HEAT_MAP_MAX_BYTES = 64 * 1024
SUFFIX = ".png"
PNG_START = b"\x89PNG\r\n\x1a\n"
HEADER_BYTES = 13
# Bit depth 8, grey, deflate, adaptive filters, not interlaced.
KIND = (8, 0, 0, 0, 0)
FILTERS = 5
ENVELOPE_BYTES = 12  # of a chunk: length, name and checksum


def check_heat_map(content: bytes) -> tuple[int, int]:
    """Return width and height of a heat map in pixels.

    Args:
        content: The whole file, from any source.

    Raises:
        ValueError: It is none: too large, damaged, or a PNG of another kind.

    Source:
        PNG specification, third edition, 5 and 11.2: chunks, IHDR, IDAT and IEND.
    """
    if len(content) > HEAT_MAP_MAX_BYTES:
        msg = f"it has more than {HEAT_MAP_MAX_BYTES} bytes"
        raise ValueError(msg)
    if not content.startswith(PNG_START):
        raise ValueError("it is not a PNG")
    chunks = list(_chunks(content))
    names = [name for name, _ in chunks]
    is_plain = len(names) > 2 and set(names[1:-1]) == {b"IDAT"}
    if not is_plain or (names[0], names[-1]) != (b"IHDR", b"IEND"):
        raise ValueError("it has other parts than a header and pixels")
    header = chunks[0][1]
    if len(header) != HEADER_BYTES or tuple(header[8:]) != KIND:
        raise ValueError("it is not of 8-bit grey")
    width, height = struct.unpack(">II", header[:8])
    if not (0 < width <= SIDE_MAX_PX and 0 < height <= SIDE_MAX_PX):
        msg = f"it has {width} x {height} pixels"
        raise ValueError(msg)
    _check_pixels(b"".join(data for _, data in chunks[1:-1]), width, height)
    return width, height


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield name and data of each chunk."""
    at = len(PNG_START)
    while at < len(content):
        size = int.from_bytes(content[at : at + 4])
        end = at + ENVELOPE_BYTES + size
        if end > len(content):
            raise ValueError("it is cut off")
        named = content[at + 4 : end - 4]
        if zlib.crc32(named) != int.from_bytes(content[end - 4 : end]):
            raise ValueError("its checksum is wrong")
        yield named[:4], named[4:]
        at = end


def _check_pixels(packed: bytes, width: int, height: int) -> None:
    """Refuse pixels that are not those of the header; unpacks no more than these."""
    row_bytes = width + 1  # a filter, and one byte for each pixel
    stream = zlib.decompressobj()
    try:
        rows = stream.decompress(packed, row_bytes * height + 1)
    except zlib.error as exc:
        raise ValueError("its pixels are damaged") from exc
    is_whole = stream.eof and not stream.unused_data
    if not is_whole or len(rows) != row_bytes * height:
        raise ValueError("its pixels do not fit its size")
    if max(rows[::row_bytes]) >= FILTERS:
        raise ValueError("its rows are damaged")
