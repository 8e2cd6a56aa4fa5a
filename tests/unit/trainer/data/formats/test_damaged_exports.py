"""Annotation files as people's tools write them, and damaged ones."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.errors import DatasetError
from tests.simulators.photos import plate, write_coco
from trainer.data.checks.check import check_dataset
from trainer.data.dataset import open_dataset

ROW = "0 0.5 0.5 0.25 0.5\n"
NOWHERE = Path("/proc/self/mem")  # a file, and reading its first byte fails


def write_yolo(root: Path, suffix: str = ".png", classes: bytes = b"dot\n") -> Path:
    """Write a YOLO dataset of one photo with one box."""
    (root / "images").mkdir(parents=True)
    (root / "labels").mkdir()
    picture = plate(np.random.default_rng(0))
    assert cv2.imwrite(str(root / "images" / f"a{suffix}"), picture)
    (root / "labels" / "a.txt").write_text(ROW, encoding="utf-8")
    (root / "classes.txt").write_bytes(classes)
    return root


def test_class_names_that_are_not_utf8_are_refused(tmp_path: Path) -> None:
    root = write_yolo(tmp_path / "d", classes="Kratzer\nDrück".encode("cp1252"))
    with pytest.raises(DatasetError, match=r"classes\.txt: not UTF-8"):
        open_dataset(root)


def test_data_yaml_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    root = write_yolo(tmp_path / "d")
    (root / "data.yaml").write_bytes("names: [Drück]".encode("cp1252"))
    with pytest.raises(DatasetError, match=r"data\.yaml: not UTF-8"):
        open_dataset(root)


def test_mark_that_windows_writes_first_is_no_part_of_a_name(tmp_path: Path) -> None:
    root = write_yolo(tmp_path / "d", classes=b"\xef\xbb\xbfscratch\r\n")
    path = root / "labels" / "a.txt"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    report = check_dataset(root, trains=False)
    assert report.dataset.labels == ("scratch",)
    assert not report.errors


def test_webp_photos_are_read(tmp_path: Path) -> None:
    [photo] = open_dataset(write_yolo(tmp_path / "d", ".webp")).splits["all"]
    assert photo.boxes.tolist() == [[24, 16, 40, 48]]


def test_label_files_without_a_picture_are_reported(tmp_path: Path) -> None:
    root = write_yolo(tmp_path / "d")
    (root / "labels" / "lost.txt").write_text("\n" + ROW, encoding="utf-8")
    (root / "labels" / "classes.txt").write_text("dot\n", encoding="utf-8")
    (root / "labels" / "empty.txt").write_text("", encoding="utf-8")
    report = check_dataset(root, trains=False)
    found = [f for f in report.findings if "no picture" in f.why]
    assert [(f.place, f.why[:1]) for f in found] == [("lost.txt", "1")]
    assert not report.errors


def test_complete_labels_are_not_complained_about(tmp_path: Path) -> None:
    findings = check_dataset(write_yolo(tmp_path / "d")).findings
    assert not [f for f in findings if "no picture" in f.why]


@pytest.mark.parametrize("names", ["{1: dot, 2: bar}", "{0: dot, 2: bar}", "{a: dot}"])
def test_classes_numbered_with_a_gap_are_refused(tmp_path: Path, names: str) -> None:
    root = write_yolo(tmp_path / "d")
    text = f"train: images\nnames: {names}\n"
    (root / "data.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(DatasetError, match="classes are numbered"):
        open_dataset(root)


def test_classes_are_ordered_by_number_and_not_by_text(tmp_path: Path) -> None:
    root = write_yolo(tmp_path / "d")
    (root / "classes.txt").unlink()
    names = ", ".join(f'"{number}": n{number}' for number in reversed(range(12)))
    text = f"train: images\nnames: {{{names}}}\n"
    (root / "data.yaml").write_text(text, encoding="utf-8")
    assert open_dataset(root).labels == tuple(f"n{number}" for number in range(12))


@pytest.mark.parametrize("name", ["data.yaml", "classes.txt"])
def test_settings_that_cannot_be_read_are_refused(tmp_path: Path, name: str) -> None:
    root = write_yolo(tmp_path / "d")
    (root / name).unlink(missing_ok=True)
    (root / name).symlink_to(NOWHERE)
    with pytest.raises(DatasetError, match="cannot be read") as caught:
        open_dataset(root)
    assert "Input/output error" in caught.value.why


def test_label_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    root = write_yolo(tmp_path / "d")
    (root / "labels" / "a.txt").unlink()
    (root / "labels" / "a.txt").symlink_to(NOWHERE)
    [error] = check_dataset(root, trains=False).errors
    assert error.file.name == "a.txt"
    assert "cannot be read" in error.why


def test_coco_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "d")
    (root / "train.json").unlink()
    (root / "train.json").mkdir()
    with pytest.raises(DatasetError, match=r"train\.json: cannot be read"):
        open_dataset(root)


@pytest.mark.parametrize("entry", [5, None, {"image_id": [0]}])
def test_coco_with_malformed_annotations_is_refused(
    tmp_path: Path, entry: object
) -> None:
    root = write_coco(tmp_path / "d")
    document = json.loads((root / "train.json").read_text(encoding="utf-8"))
    document["annotations"].append(entry)
    (root / "train.json").write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(DatasetError, match="not COCO"):
        open_dataset(root)
