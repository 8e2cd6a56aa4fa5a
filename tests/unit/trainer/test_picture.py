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
from trainer.data.check import check_dataset
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
