"""Picture files of a dataset: oddly named, absurdly large, gone."""

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.errors import DatasetError
from tests.simulators.photos import annotation, plate, write_coco, write_json
from tests.simulators.picture_files import (
    BITS,
    absurd_png,
    damaged_jpeg,
    noisy_png,
    tiff_file,
    with_thumbnail,
)
from trainer.data.checks.check import check_dataset
from trainer.data.dataset import open_dataset, read_photo
from trainer.data.findings import FindingKind, Level

NOT_UTF8 = os.fsdecode(b"caf\xe9.png")


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


def test_photo_that_was_deleted_is_an_error(tmp_path: Path) -> None:
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


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (damaged_jpeg(), "damaged: premature end of data segment"),
        (tiff_file(bytes(64 * 64), (64, 64), {BITS: [8]}, pages=2), "holds 2 pages"),
        (
            tiff_file(bytes(64 * 256), (64, 64), {BITS: [32], 339: [3]}),
            "floating-point",
        ),
        (b"\0\0\0\x18ftypheic" + bytes(99), "is HEIC"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        (b"", "the file is empty"),
    ],
)
def test_photo_of_a_kind_that_is_not_read_is_an_error_with_its_reason(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    root = write_coco(tmp_path / "d", good=1)
    (root / "good" / "x.jpg").write_bytes(content)
    [error] = check_dataset(root).errors
    assert error.file.name == "x.jpg"
    assert reason in error.why
    assert error.fix


def test_nothing_of_a_decoder_is_on_stderr(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    root = write_coco(tmp_path / "d", good=1)
    contents = [noisy_png(), damaged_jpeg(), noisy_png()[:-50], b"II*\0" + bytes(99)]
    for number, content in enumerate(contents * 4):
        (root / "good" / f"x{number}.png").write_bytes(content)
    assert len(check_dataset(root).errors) == 12
    assert capfd.readouterr() == ("", "")


def write_turned(
    root: Path, orientation: int, *, sides: str, states_size: bool
) -> Path:
    """Write a dataset of one photo that EXIF turns, with one box."""
    root.mkdir()
    picture = plate(np.random.default_rng(0), 64)
    picture = picture if sides == "square" else picture[:40]
    content = cv2.imencode(".jpg", picture)[1].tobytes()
    (root / "a.jpg").write_bytes(with_thumbnail(content, orientation))
    image: dict[str, object] = {"id": 0, "file_name": "a.jpg"}
    if states_size:  # as it is seen
        height, width = picture.shape[:2]
        seen = (height, width) if orientation > 4 else (width, height)
        image |= {"width": seen[0], "height": seen[1]}
    write_json(root / "train.json", [image], [annotation(0, 0, 0, [5, 5, 9, 9])])
    return root


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("sides", ["square", "wide"])
@pytest.mark.parametrize("states_size", [False, True])
def test_turned_photo_whose_size_decides_nothing_is_a_warning(
    tmp_path: Path, orientation: int, sides: str, *, states_size: bool
) -> None:
    root = write_turned(
        tmp_path / "d", orientation, sides=sides, states_size=states_size
    )
    found = [
        finding
        for finding in open_dataset(root).findings
        if finding.kind is FindingKind.TURNED_PHOTO
    ]
    is_decided = states_size and sides == "wide" and orientation > 4
    assert bool(found) == (orientation != 1 and not is_decided)
    for finding in found:
        assert (finding.level, finding.file.name) == (Level.WARNING, "a.jpg")
        assert f"orientation {orientation}" in finding.why


def test_turned_good_part_needs_no_warning(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "d")
    (root / "good").mkdir()
    content = cv2.imencode(".jpg", plate(np.random.default_rng(0), 64))[1].tobytes()
    (root / "good" / "a.jpg").write_bytes(with_thumbnail(content, 6))
    kinds = {finding.kind for finding in open_dataset(root).findings}
    assert FindingKind.TURNED_PHOTO not in kinds


def test_pictures_in_formats_that_are_not_read_are_named(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "d", good=1)
    for name in ("images/a.heic", "good/b.HEIC", "good/c.gif", "good/d.jfif", ".e.dng"):
        (root / name).write_bytes(b"x")
    found = [
        (finding.level, finding.why, finding.fix)
        for finding in check_dataset(root).findings
        if finding.kind is FindingKind.UNREAD_FORMAT
    ]
    gif, heic, jfif = sorted(found, key=lambda one: one[1].split("suffix")[1])
    assert gif[:2] == (Level.WARNING, "1 picture with the suffix .gif not read: c.gif.")
    assert heic[1] == "2 pictures with the suffix .heic not read: b.HEIC; a.heic."
    assert "Save as PNG or JPEG" in heic[2]
    assert "Rename to .jpg" in jfif[2]
