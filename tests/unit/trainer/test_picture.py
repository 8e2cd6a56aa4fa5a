"""Picture files as they come: cut off, followed by a film, oddly named, absurd."""

import json
import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.errors import DatasetError
from tests.simulators.photos import plate, write_coco
from trainer.data.checks.check import check_dataset
from trainer.data.dataset import open_dataset, read_photo
from trainer.data.picture import decode

NOT_UTF8 = os.fsdecode(b"caf\xe9.png")


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
    """Return a PNG that says it has 60000 x 60000 pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        checked = name + data
        checksum = struct.pack(">I", zlib.crc32(checked))
        return struct.pack(">I", len(data)) + checked + checksum

    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    rows = chunk(b"IDAT", zlib.compress(bytes(99)))
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    return start + rows + chunk(b"IEND", b"")


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
    picture, alone = decode(content + film), decode(content)
    assert picture is not None
    assert alone is not None
    assert np.array_equal(picture, alone)


@pytest.mark.parametrize("lost_bytes", [1, 2, 300])
@pytest.mark.parametrize("progressive", [0, 1])
def test_jpeg_cut_off_soon_after_its_thumbnail_is_refused(
    lost_bytes: int, progressive: int
) -> None:
    whole = with_thumbnail(jpeg(64, cv2.IMWRITE_JPEG_PROGRESSIVE, progressive))
    assert len(whole) < 4096
    assert decode(whole) is not None
    assert decode(whole[:-lost_bytes]) is None


def test_picture_of_an_absurd_size_is_an_error(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "d")
    (root / "images" / "train-0.png").write_bytes(absurd_png())
    [error] = check_dataset(root).errors
    assert error.file.name == "train-0.png"


def test_photo_whose_name_is_not_utf8_is_read(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "d", good=1)
    path = root / "good" / NOT_UTF8
    turned = np.zeros((20, 40, 3), np.uint8)
    turned[:, :10] = 255
    content = with_thumbnail(cv2.imencode(".jpg", turned)[1].tobytes(), orientation=6)
    path.write_bytes(content)
    photos = [p for s in open_dataset(root).splits.values() for p in s]
    [photo] = [photo for photo in photos if photo.path.name == NOT_UTF8]
    picture = read_photo(photo)
    assert picture.shape == (40, 20, 3)
    (tmp_path / "plain.jpg").write_bytes(content)
    plain = cv2.imread(str(tmp_path / "plain.jpg"))
    assert plain is not None
    assert np.array_equal(picture, plain)


def test_photo_that_went_away_is_told(tmp_path: Path) -> None:
    photo = open_dataset(write_coco(tmp_path / "d")).splits["train"][0]
    photo.path.unlink()
    with pytest.raises(DatasetError, match="changed since"):
        read_photo(photo)


def test_finding_about_a_name_that_is_not_utf8_can_be_printed(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "d", good=1)
    (root / "good" / NOT_UTF8).write_bytes(b"no picture")
    report = check_dataset(root)
    [error] = report.errors
    assert r"caf\udce9.png" in str(error)
    assert str(error).encode("utf-8")
    written = json.dumps(report.as_json(), ensure_ascii=False)
    assert r"caf\\udce9.png" in written
    assert written.encode("utf-8")


PIXELS = np.random.default_rng(0).integers(0, 255, (24, 32, 3), dtype=np.uint8)
EXACT = {".png": [], ".bmp": [], ".tif": [], ".webp": [cv2.IMWRITE_WEBP_QUALITY, 101]}


def coded(suffix: str, pixels: np.ndarray, *parameters: int) -> bytes:
    """Return a picture file."""
    return cv2.imencode(suffix, pixels, parameters)[1].tobytes()


@pytest.mark.parametrize("suffix", EXACT)
def test_pixels_are_those_of_the_file_in_bgr(suffix: str) -> None:
    picture = decode(coded(suffix, PIXELS, *EXACT[suffix]))
    assert picture is not None
    assert picture.dtype == np.uint8
    assert np.array_equal(picture, PIXELS)


@pytest.mark.parametrize("suffix", EXACT)
def test_transparency_is_left_out(suffix: str) -> None:
    alpha = np.full((24, 32, 1), 100, np.uint8)
    content = coded(suffix, np.concatenate([PIXELS, alpha], 2), *EXACT[suffix])
    picture = decode(content)
    assert picture is not None
    assert np.array_equal(picture, PIXELS)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_grey_of_8_and_16_bits_becomes_three_equal_channels(suffix: str) -> None:
    grey = PIXELS[..., 0]
    deep = grey.astype(np.uint16) * 256 + 255  # what is below the upper byte is lost
    for pixels in (grey, deep):
        picture = decode(coded(suffix, pixels))
        assert picture is not None
        assert np.array_equal(picture, np.repeat(grey[..., None], 3, axis=2))


@pytest.mark.parametrize("suffix", [*EXACT, ".jpg", ".jpeg", ".tiff"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_picture_that_is_cut_off_is_refused(suffix: str, share: float) -> None:
    content = coded(suffix, PIXELS, *EXACT.get(suffix, []))
    assert decode(content) is not None
    assert decode(content[: int(share * len(content))]) is None


def test_picture_of_32_bits_a_channel_is_refused() -> None:
    assert decode(coded(".tif", PIXELS.astype(np.float32))) is None


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
def test_printers_colours_become_bgr(
    inks: tuple[int, int, int, int], bgr: tuple[int, int, int]
) -> None:
    picture = decode(cmyk_jpeg(*inks))
    assert picture is not None
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
        picture = decode(png_with_exif(6, tall))
    else:
        picture = decode(with_thumbnail(coded(".jpg", tall), orientation=6))
    assert picture is not None
    assert picture.shape == (20, 40, 3)
    assert picture[:4].min() > 200
    assert picture[6:].max() < 50


def test_tiff_whose_pixels_are_cut_off_is_refused() -> None:
    content = tiff(1, PIXELS[..., 0])
    whole = decode(content)
    assert whole is not None
    assert np.array_equal(whole[..., 0], PIXELS[..., 0])
    assert decode(content[:-100]) is None
