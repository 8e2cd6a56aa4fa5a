"""What a picture file states before its pixels: format, orientation, kind of values.

Decoders read some files in another way than they were meant, and without an error: the
first of several pages, 16-bit values divided by 256, signed values as unsigned ones.
Such files are recognized here by their header, and refused by name. What the header
does not decide, the decoder does: a file that is not recognized is left to it.

Source:
    TIFF 6.0; Adobe TIFF Technical Note 3; CIPA DC-008 (EXIF); ITU-T T.81 B.2.2; PNG
    third edition (eXIf, acTL); GIF89a; WebP container; ISO/IEC 14496-12 (ftyp).
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from models.counted import counted

SAVE_AS_8_BITS = "Save it with 8 or 16 bits a channel, unsigned."
SAVE_AGAIN = "Save it as PNG or JPEG."
ONE_PICTURE = "Save each picture as a file of its own."

ORIENTATIONS = range(1, 9)
UPRIGHT = 1


@dataclass(frozen=True, slots=True)
class PictureHeader:
    """What the header of a picture file states."""

    orientation: int = UPRIGHT  # EXIF's number, 1 to 8
    refusal: str = ""  # what it is that is not read, after "the file"; empty = it is
    fix: str = ""
    has_alpha: bool = False  # colours that the decoder multiplies with it (TIFF)
    stated_bits: int = 0  # bits a channel; 0 = not known
    # Width and height as they are stored; None = not stated, nothing can be decoded.
    size_px: tuple[int, int] | None = None
    format: str = ""  # JPEG, PNG ...; empty = not known


def read_header(content: bytes) -> PictureHeader:
    """Return what the header of a picture file states.

    Args:
        content: The whole file; one that is damaged has an empty header.
    """
    try:
        return _read_header(content)
    except (struct.error, IndexError):  # cut off: the decoder reports it
        return PictureHeader()


def _read_header(content: bytes) -> PictureHeader:
    if content.startswith(b"\xff\xd8"):
        return _jpeg(content)
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return _png(content)
    if content[:4] in TIFF_STARTS:
        return _tiff(content)
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return _webp(content)
    if content.startswith(b"BM"):
        return PictureHeader(size_px=_bmp_size(content), format="BMP")
    return _other(content)


def _other(content: bytes) -> PictureHeader:
    """Return the header of a format that is not expected in a photo."""
    if content[:6] in {b"GIF87a", b"GIF89a"}:
        size_px = struct.unpack_from("<HH", content, 6)
        return replace(_several(_gif_pictures(content)), size_px=size_px, format="GIF")
    if content.startswith(JPEG_2000_STARTS):
        return PictureHeader(size_px=_largest(content, JPEG_2000_SIZE), format="JP2")
    if content[4:8] == b"ftyp":
        return _media_file(content)
    for start, name in FOREIGN_STARTS.items():
        if content.startswith(start):
            fix = LFS_FIX if start == LFS_POINTER else SAVE_AGAIN
            return PictureHeader(refusal=f"is {name}", fix=fix)
    return PictureHeader()


LFS_POINTER = b"version https://git-lfs"
LFS_FIX = "Fetch the pictures with `git lfs pull`."
FOREIGN_STARTS = {
    LFS_POINTER: "a pointer of Git LFS, not a picture",
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"8BPS": "a Photoshop document",
    b"v/1\x01": "OpenEXR",
    b"%PDF": "a PDF document",
    b"FUJIFILMCCD-RAW": "a camera's raw file",
    b"#?R": "a Radiance picture",
    b"\x59\xa6\x6a\x95": "a Sun raster",
    b"Pf\n": "a portable float map",
    b"PF\n": "a portable float map",
}
FOREIGN_STARTS |= {b"P%d\n" % kind: "a portable bitmap" for kind in range(1, 8)}


JPEG_2000_STARTS = (b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51")
# Width and height follow the markers SOC and SIZ and four bytes, or the name of the box
# ``ispe`` and four bytes.
JPEG_2000_SIZE, AVIF_SIZE = b"\xff\x4f\xff\x51", b"ispe"
SIZES_SEARCHED = 1000  # a file of one picture has a few


def _largest(content: bytes, name: bytes) -> tuple[int, int] | None:
    """Return the largest size behind a name: one that is no picture does no harm."""
    sizes: list[tuple[int, int]] = []
    place = content.find(name)
    while place >= 0 and len(sizes) < SIZES_SEARCHED:
        sizes.append(struct.unpack_from(">II", content, place + len(name) + 4))
        place = content.find(name, place + 1)
    if place >= 0:
        return None
    return max(sizes, key=lambda size: size[0] * size[1], default=None)


def _bmp_size(content: bytes) -> tuple[int, int]:
    """Return width and height; a negative height means rows from the top."""
    (length,) = struct.unpack_from("<I", content, 14)
    form = "<HH" if length == 12 else "<ii"
    width, height = struct.unpack_from(form, content, 18)
    return abs(width), abs(height)


def _several(count: int) -> PictureHeader:
    if count < 2:
        return PictureHeader()
    return PictureHeader(refusal=f"holds {counted(count, 'picture')}", fix=ONE_PICTURE)


# JPEG

START_OF_SCAN, END = 0xDA, 0xD9
LOSSLESS = {0xC3, 0xC7, 0xCB, 0xCF}
ARITHMETIC = {0xC9, 0xCA, 0xCD, 0xCE}
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # without DHT, JPG and DAC
EXIF = b"Exif\0\0"
# Filling, TEM and the restart markers.
WITHOUT_LENGTH = {0x00, 0x01, 0xFF, *range(0xD0, 0xD8)}


def _jpeg(content: bytes) -> PictureHeader:
    orientation = UPRIGHT
    size_px: tuple[int, int] | None = None
    for marker, data in _jpeg_segments(content):
        if marker == 0xE1 and data.startswith(EXIF) and orientation == UPRIGHT:
            orientation = _exif_orientation(data[len(EXIF) :])
        elif marker in FRAMES:
            refusal = ""
            if marker in LOSSLESS:
                refusal = "is a lossless JPEG"
            elif marker in ARITHMETIC:
                refusal = "is a JPEG with arithmetic coding"
            elif data[0] != 8:
                refusal = f"is a JPEG of {data[0]} bits a channel"
            if refusal:
                return PictureHeader(refusal=refusal, fix=SAVE_AGAIN)
            if size_px is None:
                height, width = struct.unpack_from(">HH", data, 1)
                size_px = width, height
    return PictureHeader(orientation, size_px=size_px, format="JPEG")


def _jpeg_segments(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield marker and data of each segment before the first scan."""
    place = 2
    while place + 4 <= len(content):
        if content[place] != 0xFF:  # libjpeg searches the next marker
            place = content.find(b"\xff", place)
            if place < 0:
                return
        marker = content[place + 1]
        if marker in WITHOUT_LENGTH:
            place += 1
            continue
        if marker in {START_OF_SCAN, END}:
            return
        (length,) = struct.unpack_from(">H", content, place + 2)
        yield marker, content[place + 4 : place + 2 + length]
        place += 2 + max(length, 2)  # as libjpeg, where it is less than its own bytes


# PNG, GIF, WebP, HEIF


def _png(content: bytes) -> PictureHeader:
    orientation, place = UPRIGHT, 8
    while place + 12 <= len(content):
        length, name = struct.unpack_from(">I4s", content, place)
        if name == b"acTL":
            (count,) = struct.unpack_from(">I", content, place + 8)
            if count > 1:
                return _several(count)
        elif name == b"eXIf":
            orientation = _exif_orientation(content[place + 8 : place + 8 + length])
        place += 12 + length
    is_first = content[12:16] == b"IHDR"
    size_px = struct.unpack_from(">II", content, 16) if is_first else None
    return PictureHeader(
        orientation, stated_bits=content[24], size_px=size_px, format="PNG"
    )


def _gif_pictures(content: bytes) -> int:
    """Return the number of pictures in a GIF."""
    flags, place, count = content[10], 13, 0
    place += 3 << ((flags & 7) + 1) if flags & 0x80 else 0
    while place < len(content) and content[place] in {0x21, 0x2C}:
        if content[place] == 0x2C:
            count += 1
            flags = content[place + 9]
            place += 11 + (3 << ((flags & 7) + 1) if flags & 0x80 else 0)
        else:
            place += 2
        while content[place]:  # sub-blocks, each with its length
            place += 1 + content[place]
        place += 1
    return count


def _webp(content: bytes) -> PictureHeader:
    orientation, pictures, place = UPRIGHT, 0, 12
    while place + 8 <= len(content):
        name, length = struct.unpack_from("<4sI", content, place)
        if name == b"ANMF":
            pictures += 1
        elif name == b"EXIF":
            data = content[place + 8 : place + 8 + length]
            orientation = _exif_orientation(data.removeprefix(EXIF))
        place += 8 + length + length % 2
    if pictures > 1:
        return _several(pictures)
    return PictureHeader(orientation, size_px=_webp_size(content), format="WebP")


def _webp_size(content: bytes) -> tuple[int, int] | None:
    """Return width and height, which the first chunk states."""
    data = content[20:30]
    match content[12:16]:
        case b"VP8 ":  # behind the frame's tag and start code
            width, height = struct.unpack_from("<HH", data, 6)
            return width & 0x3FFF, height & 0x3FFF
        case b"VP8L":
            (bits,) = struct.unpack_from("<I", data, 1)
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8X":
            sides = (data[4:7], data[7:10])
            width, height = (int.from_bytes(side, "little") + 1 for side in sides)
            return width, height
    return None


HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"}


def _media_file(content: bytes) -> PictureHeader:
    """Return the header of a file of boxes: HEIC, AVIF, or a film."""
    (length,) = struct.unpack_from(">I", content, 0)
    major = content[8:12]
    brands = {major, *(content[i : i + 4] for i in range(16, min(length, 256), 4))}
    if major == b"avis":
        return PictureHeader(refusal="holds several pictures", fix=ONE_PICTURE)
    if b"avif" in brands:
        return PictureHeader(size_px=_largest(content, AVIF_SIZE), format="AVIF")
    name = "HEIC" if brands & HEIC_BRANDS else "a film"
    return PictureHeader(refusal=f"is {name}", fix=SAVE_AGAIN)


# TIFF, which is also the form of EXIF

TIFF_STARTS = {
    b"II*\0": ("<", False),
    b"MM\0*": (">", False),
    b"II+\0": ("<", True),
    b"MM\0+": (">", True),
}
TYPES = {1: "B", 3: "H", 4: "I", 16: "Q"}
WIDTH, HEIGHT = 256, 257
SUBFILE, BITS, PHOTOMETRIC, ORIENTATION, SAMPLES = 254, 258, 262, 274, 277
PLANAR, EXTRA, SAMPLE_FORMAT, DNG = 284, 338, 339, 50706
USED = {SUBFILE, BITS, PHOTOMETRIC, ORIENTATION, SAMPLES, PLANAR, EXTRA}
USED |= {SAMPLE_FORMAT, DNG, WIDTH, HEIGHT}
NOT_A_PAGE = 1 | 4  # of SUBFILE: a smaller version of a page, or its mask
MOST_PAGES = 10_000  # a directory that leads back to an earlier one has no end
# Directories may lie in each other: 10,000 of 65,535 entries fit into a megabyte.
MOST_ENTRIES = 200_000
WHITE_IS_ZERO, PALETTE, CMYK, RAW = 0, 3, 5, 32803
COLOUR_SPACES = {8: "CIE Lab", 9: "ICC Lab", 10: "ITU Lab"}
COLOUR_SPACES |= {32844: "LogL", 32845: "LogLuv"}
DEEP_KINDS = {
    WHITE_IS_ZERO: "values in which 0 is white",
    PALETTE: "palette values",
    CMYK: "CMYK colours",
}
SIGNED, FLOATING = 2, 3
READ_BITS = {1, 8, 10, 12, 14, 16}

Tags = Mapping[int, int]  # number of a tag to its first value


def _exif_orientation(data: bytes) -> int:
    try:
        value = next(_directories(data), {}).get(ORIENTATION, UPRIGHT)
    except struct.error:
        return UPRIGHT
    return value if value in ORIENTATIONS else UPRIGHT


def _directories(data: bytes) -> Iterator[dict[int, int]]:
    """Yield the tags of each directory; only those that are used."""
    order, is_big = TIFF_STARTS.get(data[:4], ("", False))
    if not order:
        return
    count_form, entry_bytes, offset_form = ("Q", 20, "Q") if is_big else ("H", 12, "I")
    (place,) = struct.unpack_from(order + offset_form, data, 8 if is_big else 4)
    seen: set[int] = set()
    left = MOST_ENTRIES
    while place and place not in seen and len(seen) < MOST_PAGES:
        seen.add(place)
        (count,) = struct.unpack_from(order + count_form, data, place)
        left -= count
        if left < 0:
            message = "more entries than any picture has"
            raise struct.error(message)
        first = place + struct.calcsize(count_form)
        entries = range(first, first + count * entry_bytes, entry_bytes)
        # Reversed: of a tag that is there twice, libtiff takes the first.
        yield dict(
            entry
            for at in reversed(entries)
            if (entry := _entry(data, at, order, offset_form)) is not None
        )
        end = first + count * entry_bytes
        (place,) = struct.unpack_from(order + offset_form, data, end)


def _entry(
    data: bytes, at: int, order: str, offset_form: str
) -> tuple[int, int] | None:
    """Return number and first value of a tag; None = it is not used."""
    tag, kind, count = struct.unpack_from(f"{order}HH{offset_form}", data, at)
    if tag not in USED or kind not in TYPES or not count:
        return None
    size = struct.calcsize(offset_form)
    value_at = at + 4 + size
    if count * struct.calcsize(TYPES[kind]) > size:  # elsewhere in the file
        (value_at,) = struct.unpack_from(order + offset_form, data, value_at)
    value: Any = struct.unpack_from(order + TYPES[kind], data, value_at)[0]
    return tag, int(value)


def _tiff(content: bytes) -> PictureHeader:
    pages = [
        tags
        for tags in _directories(content)
        if not tags.get(SUBFILE, 0) & NOT_A_PAGE or DNG in tags
    ]
    if not pages:
        return PictureHeader()
    tags = pages[0]
    refusal, fix = _tiff_refusal(tags)
    if len(pages) > 1 and not refusal:
        refusal, fix = f"holds {len(pages)} pages", ONE_PICTURE
    orientation = tags.get(ORIENTATION, UPRIGHT)
    bits = tags.get(BITS, 1)
    return PictureHeader(
        orientation if orientation in ORIENTATIONS else UPRIGHT,
        refusal,
        fix,
        has_alpha=bits == 8 and tags.get(EXTRA, 0) > 0,
        stated_bits=bits,
        size_px=_tiff_size(content),
        format="TIFF",
    )


def _tiff_size(content: bytes) -> tuple[int, int] | None:
    """Return width and height of the first directory, which the decoder reads."""
    tags = next(_directories(content), {})
    if WIDTH in tags and HEIGHT in tags:
        return tags[WIDTH], tags[HEIGHT]
    return None


def _tiff_refusal(tags: Tags) -> tuple[str, str]:
    """Return what it is that is not read, and the fix."""
    bits, kind = tags.get(BITS, 1), tags.get(PHOTOMETRIC, 1)
    if DNG in tags or kind == RAW:
        return "is a camera's raw file", SAVE_AGAIN
    match tags.get(SAMPLE_FORMAT, 1):
        case value if value == FLOATING:
            return f"has {bits}-bit floating-point values", SAVE_AS_8_BITS
        case value if value == SIGNED:
            return f"has signed {bits}-bit values", SAVE_AS_8_BITS
    if kind in COLOUR_SPACES:
        return f"has {COLOUR_SPACES[kind]} colours", SAVE_AGAIN
    is_read = bits in READ_BITS or (bits == 4 and kind == PALETTE)
    if not is_read:
        return f"has {bits} bit{'s' * (bits != 1)} a channel", SAVE_AS_8_BITS
    return _colour_refusal(tags, bits, kind), SAVE_AGAIN


def _colour_refusal(tags: Tags, bits: int, kind: int) -> str:
    """Return what it is whose colours the decoder would change."""
    samples = tags.get(SAMPLES, 1)
    if samples == 2 and (bits > 8 or tags.get(EXTRA, 0)):
        return "has grey with transparency"
    if bits <= 8:
        return ""
    if kind in DEEP_KINDS:
        return f"has {bits}-bit {DEEP_KINDS[kind]}"
    if samples > 1 and tags.get(PLANAR, 1) != 1:
        return f"has {bits}-bit colours in separate planes"
    return ""
