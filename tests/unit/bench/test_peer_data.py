"""A peer gets the same photos and boxes, and its results are read back unchanged."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from bench.measuring.peer_data import as_detections, write_photos
from trainer.data.dataset import Photo, read_photo
from trainer.evaluation.metrics import average_precisions

LABELS = ("dent", "scratch", "hole")


def photo(path: Path, *labels: int) -> Photo:
    picture = np.full((48, 64, 3), len(path.parts[-2]), np.uint8)
    path.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(path), picture)
    boxes = [(5 + 9 * i, 7, 12 + 9 * i, 30) for i in range(len(labels))]
    return Photo(
        path,
        "",
        64,
        48,
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(labels, np.int64),
    )


def annotations(folder: Path, split: str) -> dict[str, list[dict[str, object]]]:
    path = folder / "annotations" / f"instances_{split}2017.json"
    document: dict[str, list[dict[str, object]]] = json.loads(path.read_text("utf-8"))
    return document


def test_labelled_boxes_given_back_by_the_peer_are_all_right(tmp_path: Path) -> None:
    train = (photo(tmp_path / "a" / "1.png", 0, 1, 2),)
    # the classes of val appear in another order, and one does not appear
    val = (
        photo(tmp_path / "b" / "1.png", 2, 0),
        photo(tmp_path / "good" / "1.png"),
        photo(tmp_path / "c" / "1.png", 0),
    )
    write_photos(tmp_path / "laid", {"train": train, "val": val}, LABELS)
    rows = [
        row | {"score": 0.9}
        for row in annotations(tmp_path / "laid", "val")["annotations"]
    ]
    found = as_detections(rows, len(val))
    assert [len(one) for one in found] == [2, 0, 1]
    assert average_precisions(found, val, len(LABELS))[0.95] == pytest.approx(1.0)


def test_classes_have_the_same_numbers_in_both_splits(tmp_path: Path) -> None:
    train = (photo(tmp_path / "a" / "1.png", 1, 0),)
    val = (photo(tmp_path / "b" / "1.png", 2),)
    write_photos(tmp_path / "laid", {"train": train, "val": val}, LABELS)
    both = [annotations(tmp_path / "laid", split) for split in ("train", "val")]
    assert both[0]["categories"] == both[1]["categories"]
    assert [row["category_id"] for row in both[0]["annotations"]] == [2, 1]
    assert [row["category_id"] for row in both[1]["annotations"]] == [3]


def test_photos_of_one_name_from_two_folders_stay_two(tmp_path: Path) -> None:
    val = (photo(tmp_path / "b" / "1.png", 1), photo(tmp_path / "good" / "1.png"))
    write_photos(tmp_path / "laid", {"train": val, "val": val}, LABELS)
    names = [
        str(row["file_name"]) for row in annotations(tmp_path / "laid", "val")["images"]
    ]
    laid = [cv2.imread(str(tmp_path / "laid" / "val2017" / name)) for name in names]
    for one, picture in zip(val, laid, strict=True):
        assert np.array_equal(read_photo(one), picture)


def test_detections_of_a_photo_are_best_first() -> None:
    row = {"image_id": 1, "category_id": 1, "bbox": [1.0, 2.0, 3.0, 4.0]}
    found = as_detections([row | {"score": 0.2}, row | {"score": 0.7}], 1)[0]
    assert found.scores == pytest.approx([0.7, 0.2])
    assert found.boxes[0] == pytest.approx([1, 2, 4, 6])
