"""Picture files of a dataset: oddly named, absurdly large, gone."""

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.errors import DatasetError
from tests.simulators.photos import write_coco
from tests.simulators.picture_files import absurd_png, with_thumbnail
from trainer.data.checks.check import check_dataset
from trainer.data.dataset import open_dataset, read_photo

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
