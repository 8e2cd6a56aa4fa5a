"""Picture files: cut off, followed by a film, in every depth, colour and rotation."""

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.pictures import DamagedPictureError, decode_picture, read_picture
from tests.simulators.picture_files import absurd_png, jpeg, with_thumbnail

PIXELS = np.random.default_rng(0).integers(0, 255, (24, 32, 3), dtype=np.uint8)
EXACT = {".png": [], ".bmp": [], ".tif": [], ".webp": [cv2.IMWRITE_WEBP_QUALITY, 101]}


def is_refused(content: bytes) -> bool:
    try:
        decode_picture(content)
    except DamagedPictureError:
        return True
    return False


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"hello", "damaged, or not a picture"),
        (jpeg()[:-2], "the JPEG is cut off"),
        (absurd_png(), "cannot be decoded: "),
    ],
)
def test_reason_of_a_refused_file_is_stated(content: bytes, reason: str) -> None:
    with pytest.raises(DamagedPictureError, match=reason):
        decode_picture(content)


def test_picture_is_read_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(coded(".png", PIXELS))
    assert np.array_equal(read_picture(tmp_path / "a.png"), PIXELS)
    with pytest.raises(FileNotFoundError):
        read_picture(tmp_path / "b.png")


@pytest.mark.parametrize(
    "parameters",
    [
        (),
        (cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
        (cv2.IMWRITE_JPEG_RST_INTERVAL, 2),
    ],
)
def test_jpeg_followed_by_a_film_is_whole(parameters: tuple[int, ...]) -> None:
    content = with_thumbnail(jpeg(64, *parameters))
    film = b"\0\0\0\x18ftypmp42" + b"\xff\xda\0\x03" * 5000
    picture, alone = decode_picture(content + film), decode_picture(content)
    assert np.array_equal(picture, alone)


@pytest.mark.parametrize("lost_bytes", [1, 2, 300])
@pytest.mark.parametrize("progressive", [0, 1])
def test_jpeg_cut_off_soon_after_its_thumbnail_is_refused(
    lost_bytes: int, progressive: int
) -> None:
    whole = with_thumbnail(jpeg(64, cv2.IMWRITE_JPEG_PROGRESSIVE, progressive))
    assert len(whole) < 4096
    assert not is_refused(whole)
    assert is_refused(whole[:-lost_bytes])


def coded(suffix: str, pixels: np.ndarray, *parameters: int) -> bytes:
    """Return a picture file."""
    return cv2.imencode(suffix, pixels, parameters)[1].tobytes()


@pytest.mark.parametrize("suffix", EXACT)
def test_pixels_are_those_of_the_file_in_bgr(suffix: str) -> None:
    picture = decode_picture(coded(suffix, PIXELS, *EXACT[suffix]))
    assert picture.dtype == np.uint8
    assert np.array_equal(picture, PIXELS)


@pytest.mark.parametrize("suffix", EXACT)
def test_transparency_is_left_out(suffix: str) -> None:
    alpha = np.full((24, 32, 1), 100, np.uint8)
    content = coded(suffix, np.concatenate([PIXELS, alpha], 2), *EXACT[suffix])
    picture = decode_picture(content)
    assert np.array_equal(picture, PIXELS)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_grey_of_8_and_16_bits_becomes_three_equal_channels(suffix: str) -> None:
    grey = PIXELS[..., 0]
    deep = grey.astype(np.uint16) * 256 + 255  # what is below the upper byte is lost
    for pixels in (grey, deep):
        picture = decode_picture(coded(suffix, pixels))
        assert np.array_equal(picture, np.repeat(grey[..., None], 3, axis=2))


@pytest.mark.parametrize("suffix", [*EXACT, ".jpg", ".jpeg", ".tiff"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_picture_that_is_cut_off_is_refused(suffix: str, share: float) -> None:
    content = coded(suffix, PIXELS, *EXACT.get(suffix, []))
    assert not is_refused(content)
    assert is_refused(content[: int(share * len(content))])


def test_picture_of_32_bits_a_channel_is_refused() -> None:
    assert is_refused(coded(".tif", PIXELS.astype(np.float32)))


def cmyk_jpeg(cyan: int, magenta: int, yellow: int, black: int) -> bytes:
    """Return a JPEG of 8 x 8 equal pixels in Adobe's inverted CMYK.

    Four components of one block each: a DC difference, then the end of the block.
    """
    bits = ""
    for value in (cyan, magenta, yellow, black):
        level = (255 - value) - 128  # quantized by 8, a DC of 8 times the level
        size = abs(level).bit_length()
        bits += f"{size:04b}"  # the code of a size is the size: 12 codes of 4 bits
        if size:
            bits += f"{level if level > 0 else level + (1 << size) - 1:0{size}b}"
        bits += "0"  # the only AC code: end of block
    bits += "1" * (-len(bits) % 8)
    scan = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")

    def segment(marker: int, data: bytes) -> bytes:
        return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data

    components = b"".join(bytes([number, 0x11, 0]) for number in range(1, 5))
    scanned = b"".join(bytes([number, 0x00]) for number in range(1, 5))
    dc = bytes([0, 0, 0, 0, 12]) + bytes(12) + bytes(range(12))
    ac = bytes([0x10, 1]) + bytes(15) + b"\0"
    return (
        b"\xff\xd8"
        + segment(0xEE, b"Adobe\0\x64\0\0\0\0\0")
        + segment(0xDB, b"\0" + bytes([8]) * 64)
        + segment(0xC0, b"\x08\0\x08\0\x08\x04" + components)
        + segment(0xC4, dc)
        + segment(0xC4, ac)
        + segment(0xDA, b"\x04" + scanned + b"\0\x3f\0")
        + scan
        + b"\xff\xd9"
    )


@pytest.mark.parametrize(
    ("inks", "bgr"),
    [
        ((0, 0, 0, 0), (255, 255, 255)),
        ((255, 0, 0, 0), (255, 255, 0)),
        ((0, 255, 0, 0), (255, 0, 255)),
        ((0, 0, 255, 0), (0, 255, 255)),
        ((0, 0, 0, 255), (0, 0, 0)),
    ],
)
def test_cmyk_becomes_bgr(
    inks: tuple[int, int, int, int], bgr: tuple[int, int, int]
) -> None:
    picture = decode_picture(cmyk_jpeg(*inks))
    assert np.abs(picture.astype(int) - bgr).max() <= 2


def tiff(orientation: int, pixels: np.ndarray) -> bytes:
    """Return an uncompressed grey TIFF, its directory first, then its pixels."""
    height, width = pixels.shape
    entries = [
        *((256, width), (257, height), (258, 8), (259, 1), (262, 1)),
        *((273, 8 + 2 + 10 * 12 + 4), (274, orientation), (277, 1)),
        *((278, height), (279, width * height)),
    ]
    directory = struct.pack("<H", len(entries))
    for tag, value in entries:
        directory += struct.pack("<HHII", tag, 4, 1, value)
    return b"II*\0\x08\0\0\0" + directory + bytes(4) + pixels.tobytes()


def png_with_exif(orientation: int, pixels: np.ndarray) -> bytes:
    """Return a PNG with an eXIf chunk before its pixels."""
    content = coded(".png", pixels)
    exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0"
    exif += struct.pack("<HHI", orientation, 0, 0)
    checked = b"eXIf" + exif
    chunk = (
        struct.pack(">I", len(exif)) + checked + struct.pack(">I", zlib.crc32(checked))
    )
    at = content.index(b"IDAT") - 4
    return content[:at] + chunk + content[at:]


@pytest.mark.parametrize("kind", [png_with_exif, with_thumbnail])
def test_orientation_of_the_camera_is_applied(kind: object) -> None:
    tall = np.zeros((40, 20), np.uint8)
    tall[:, :5] = 255  # the left edge, the upper one after a turn to the right
    if kind is png_with_exif:
        picture = decode_picture(png_with_exif(6, tall))
    else:
        picture = decode_picture(with_thumbnail(coded(".jpg", tall), orientation=6))
    assert picture.shape == (20, 40, 3)
    assert picture[:4].min() > 200
    assert picture[6:].max() < 50


def test_tiff_whose_pixels_are_cut_off_is_refused() -> None:
    content = tiff(1, PIXELS[..., 0])
    whole = decode_picture(content)
    assert np.array_equal(whole[..., 0], PIXELS[..., 0])
    assert is_refused(content[:-100])
