"""What the header of a picture states, and which kinds are refused by name."""

import struct

import cv2
import numpy as np
import pytest

from models.picture_header import read_header
from models.pictures import PictureError, decode_pixels
from tests.simulators.picture_files import (
    BITS,
    DNG_VERSION,
    EXTRA_SAMPLES,
    ORIENTATION,
    PHOTOMETRIC,
    PLANAR,
    SAMPLE_FORMAT,
    SAMPLES,
    SUBFILE,
    jpeg,
    png_chunk,
    png_file,
    tiff_file,
    with_thumbnail,
)

WIDTH, HEIGHT = 16, 8
GREY = np.arange(WIDTH * HEIGHT, dtype=np.uint8).reshape(HEIGHT, WIDTH)


def tiff(tags: dict[int, list[int]], pages: int = 1) -> bytes:
    """Return a TIFF with zeros enough for any kind of value."""
    return tiff_file(bytes(WIDTH * HEIGHT * 32), (WIDTH, HEIGHT), tags, pages)


def frame_of(content: bytes, marker: int, precision: int = 8) -> bytes:
    """Return a JPEG whose frame is of another kind."""
    at = content.index(b"\xff\xc0")
    changed = bytes([0xFF, marker]) + content[at + 2 : at + 4] + bytes([precision])
    return content[:at] + changed + content[at + 5 :]


def gif(pictures: int) -> bytes:
    screen = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + bytes(6)
    comment = b"\x21\xfe\x02ab\0"
    picture = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\0"
    return screen + comment + picture * pictures + b"\x3b"


def webp(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"".join(
        name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)
        for name, data in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def media(major: bytes, *brands: bytes) -> bytes:
    box = major + bytes(4) + b"".join(brands)
    return struct.pack(">I", len(box) + 8) + b"ftyp" + box + bytes(64)


REFUSED = {
    "floating point": (tiff({BITS: [32], SAMPLE_FORMAT: [3]}), "32-bit floating-point"),
    "half float": (tiff({BITS: [16], SAMPLE_FORMAT: [3]}), "16-bit floating-point"),
    "signed 16": (tiff({BITS: [16], SAMPLE_FORMAT: [2]}), "signed 16-bit"),
    "signed 8": (tiff({BITS: [8], SAMPLE_FORMAT: [2]}), "signed 8-bit"),
    "uint32": (tiff({BITS: [32]}), "32 bits a channel"),
    "4 bits": (tiff({BITS: [4]}), "4 bits a channel"),
    "white is zero": (tiff({BITS: [16], PHOTOMETRIC: [0]}), "0 is white"),
    "deep CMYK": (
        tiff({BITS: [16] * 4, PHOTOMETRIC: [5], SAMPLES: [4]}),
        "16-bit CMYK",
    ),
    "Lab": (tiff({BITS: [8] * 3, PHOTOMETRIC: [8], SAMPLES: [3]}), "CIE Lab"),
    "raw": (tiff({BITS: [16], PHOTOMETRIC: [32803]}), "camera's raw file"),
    "DNG": (tiff({BITS: [8], SUBFILE: [1], DNG_VERSION: [1]}), "camera's raw file"),
    "grey and alpha": (
        tiff({BITS: [16, 16], SAMPLES: [2], EXTRA_SAMPLES: [2]}),
        "grey with transparency",
    ),
    "planes": (
        tiff({BITS: [16] * 3, PHOTOMETRIC: [2], SAMPLES: [3], PLANAR: [2]}),
        "separate planes",
    ),
    "pages": (tiff({BITS: [8]}, pages=3), "holds 3 pages"),
    "12-bit JPEG": (frame_of(jpeg(), 0xC1, 12), "JPEG of 12 bits"),
    "lossless JPEG": (frame_of(jpeg(), 0xC3), "lossless JPEG"),
    "arithmetic JPEG": (frame_of(jpeg(), 0xC9), "arithmetic coding"),
    "animated GIF": (gif(4), "holds 4 pictures"),
    "animated PNG": (
        png_file(GREY, 8, 0, png_chunk(b"acTL", struct.pack(">II", 2, 0))),
        "holds 2 pictures",
    ),
    "animated WebP": (webp((b"ANMF", b"a"), (b"ANMF", b"b")), "holds 2 pictures"),
    "AVIF sequence": (media(b"avis", b"avif"), "holds several pictures"),
    "HEIC": (media(b"heic", b"mif1"), "is HEIC"),
    "HEIC of another brand": (media(b"mif1", b"heic"), "is HEIC"),
    "film": (media(b"mp42", b"isom"), "is a film"),
    "JPEG XL": (b"\xff\x0a" + bytes(20), "is JPEG XL"),
    "Photoshop": (b"8BPS" + bytes(20), "Photoshop"),
    "OpenEXR": (b"v/1\x01" + bytes(20), "OpenEXR"),
    "PDF": (b"%PDF-1.4" + bytes(20), "PDF"),
    "Git LFS": (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_kind_that_is_not_read_is_refused_by_name(name: str) -> None:
    content, named = REFUSED[name]
    with pytest.raises(PictureError, match=named) as caught:
        decode_pixels(content)
    assert caught.value.fix


def test_smaller_versions_and_masks_of_a_page_are_no_pages() -> None:
    two = tiff({BITS: [8], SUBFILE: [0]}, pages=2)
    kind = struct.pack("<HHII", SUBFILE, 4, 1, 0)
    for number in (1, 4):
        at = two.rindex(kind)
        small = two[:at] + struct.pack("<HHII", SUBFILE, 4, 1, number) + two[at + 12 :]
        assert read_header(small).refusal == ""
    assert read_header(two).refusal == "holds 2 pages"


def test_directories_in_a_circle_come_to_an_end() -> None:
    content = bytearray(tiff({BITS: [8]}))
    (count,) = struct.unpack_from("<H", content, 8)
    struct.pack_into("<I", content, 10 + count * 12, 8)
    assert read_header(bytes(content)).refusal == ""


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_that_of_every_format(orientation: int) -> None:
    entry = struct.pack("<HHIHH", 0x112, 3, 1, orientation, 0)
    exif = b"II*\0\x08\0\0\0\x01\0" + entry + bytes(4)
    big = b"MM\0*\0\0\0\x08\0\x01"
    big += struct.pack(">HHIHH", 0x112, 3, 1, orientation, 0) + bytes(4)
    files = [
        tiff({BITS: [8], ORIENTATION: [orientation]}),
        with_thumbnail(jpeg(), orientation),
        png_file(GREY, 8, 0, png_chunk(b"eXIf", exif)),
        png_file(GREY, 8, 0, png_chunk(b"eXIf", big)),
        webp((b"VP8L", b"odd"), (b"EXIF", exif)),
        webp((b"EXIF", b"Exif\0\0" + exif)),
    ]
    assert [read_header(content).orientation for content in files] == [orientation] * 6


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_decoded_tiff_is_turned_as_its_header_states(
    orientation: int, bits: int
) -> None:
    values = GREY.astype(f"<u{bits // 8}")
    tags = {BITS: [bits], ORIENTATION: [orientation]}
    pixels = decode_pixels(tiff_file(values.tobytes(), (WIDTH, HEIGHT), tags))
    turned = {
        1: values,
        2: values[:, ::-1],
        3: values[::-1, ::-1],
        4: values[::-1],
        5: values.T,
        6: values[::-1].T,
        7: values[::-1, ::-1].T,
        8: values[:, ::-1].T,
    }
    assert np.array_equal(pixels[..., 0], turned[orientation])


@pytest.mark.parametrize(
    "content",
    [
        jpeg(),
        png_file(GREY, 8, 0),
        tiff({BITS: [8]}),
        gif(2),
        webp((b"EXIF", b"II*\0")),
    ],
)
def test_header_of_a_cut_off_file_is_read_without_an_error(content: bytes) -> None:
    for length in range(min(len(content), 400)):
        assert read_header(content[:length]).orientation == 1


def test_animated_pictures_of_opencv_are_recognized() -> None:
    animation = cv2.Animation()
    animation.frames = [np.full((8, 8, 3), value, np.uint8) for value in (0, 255)]
    animation.durations = [100, 100]
    for suffix in (".png", ".webp", ".gif"):
        is_written, content = cv2.imencodeanimation(suffix, animation)
        assert is_written
        assert read_header(content.tobytes()).refusal == "holds 2 pictures"


@pytest.mark.parametrize(
    "suffix", [".jpg", ".png", ".bmp", ".tif", ".webp", ".gif", ".jp2", ".avif"]
)
def test_size_that_every_format_states_is_that_of_its_pixels(suffix: str) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    is_written, content = cv2.imencode(suffix, picture)
    assert is_written
    assert read_header(content.tobytes()).size_px == (60, 40)
    assert decode_pixels(content.tobytes()).shape == (40, 60, 3)


@pytest.mark.parametrize("flag", [0, 1, 100])
def test_size_of_a_lossless_webp_is_read(flag: int) -> None:
    content = cv2.imencode(".webp", GREY, [cv2.IMWRITE_WEBP_QUALITY, flag + 1])[1]
    assert read_header(content.tobytes()).size_px == (WIDTH, HEIGHT)


def test_size_of_a_webp_with_a_canvas_is_read() -> None:
    canvas = bytes(4) + (59).to_bytes(3, "little") + (39).to_bytes(3, "little")
    assert read_header(webp((b"VP8X", canvas))).size_px == (60, 40)


@pytest.mark.parametrize(
    "between",
    [
        b"\xff\xd0\x00\x11",  # a restart marker has no length
        b"\xff\xe5\x00\x00",  # libjpeg skips no less than the length itself
        b"\xff\xe5\x00\x01",
    ],
)
def test_size_of_a_jpeg_is_that_of_the_frame_that_libjpeg_decodes(
    between: bytes,
) -> None:
    # A second, small frame in a comment, where only a reader that lost its place is.
    content = jpeg()
    at = content.index(b"\xff\xc0")
    frame = content[at : at + 19]
    small = frame[:5] + b"\0\x01\0\x01" + frame[9:]
    filling = b"\xff\xfe" + (2 + len(small) + 4).to_bytes(2, "big") + bytes(4) + small
    true_size = read_header(content).size_px
    changed = content[:at] + between + filling + content[at:]
    assert read_header(changed).size_px == true_size


def test_directories_that_lie_in_each_other_are_not_read_for_minutes() -> None:
    count = 60_000
    content = bytearray(b"II*\0" + struct.pack("<I", 8) + bytes(count * 12 + 4000))
    for place in range(8, 2008, 2):
        struct.pack_into("<H", content, place, count)
    header = read_header(bytes(content))
    assert header.size_px is None


def test_of_a_tag_that_is_there_twice_the_first_counts_as_for_the_decoder() -> None:
    two = tiff({BITS: [8]})
    (count,) = struct.unpack_from("<H", two, 8)
    first = struct.unpack_from("<HHII", two, 10)
    assert first[0] == 256
    twice = bytearray(two)
    for entry in range(count):
        at = 10 + entry * 12
        if struct.unpack_from("<H", two, at)[0] == 277:
            struct.pack_into("<HHII", twice, at, 256, 3, 1, 1)
    assert read_header(bytes(twice)).size_px == (WIDTH, HEIGHT)
