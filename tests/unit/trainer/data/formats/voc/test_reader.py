"""Pascal VOC: where pictures, splits and boxes are, and what is wrong with them."""

import math
from pathlib import Path

import numpy as np
import pytest

from models.errors import DatasetError
from tests.simulators.exports import (
    BOX,
    voc_object,
    voc_xml,
    write_picture,
    write_text,
    write_voc,
)
from trainer.data.dataset import open_dataset
from trainer.data.findings import Finding, FindingKind, Level
from trainer.data.formats.rows import LabelState
from trainer.data.splitting.split_record import SplitOptions, UnlabelledUse

BOMB = """<?xml version="1.0"?><!DOCTYPE annotation [<!ENTITY a "aaaaaaaa">
<!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><annotation><filename>&b;</filename>
</annotation>"""
THIEF = """<?xml version="1.0"?><!DOCTYPE annotation [<!ENTITY a SYSTEM
"file:///etc/passwd">]><annotation><filename>&a;</filename></annotation>"""


def beside(root: Path, name: str, objects: str, filename: str = "") -> None:
    """Write a picture and its XML into one folder."""
    write_picture(root / f"{name}.png", len(name))
    write_text(root / f"{name}.xml", voc_xml(filename or f"{name}.png", objects))


def errors(root: Path) -> list[Finding]:
    """Return the errors of a dataset."""
    return [f for f in open_dataset(root).findings if f.level is Level.ERROR]


def test_xml_beside_pictures_in_folders_of_splits(tmp_path: Path) -> None:
    for split in ("train", "valid"):
        beside(tmp_path / split, f"{split}-a", voc_object())
    dataset = open_dataset(tmp_path)
    assert {name: len(photos) for name, photos in dataset.splits.items()} == {
        "train": 1,
        "val": 1,
    }
    assert dataset.splits["val"][0].boxes.tolist() == [list(BOX)]


def test_pictures_without_xml_are_unlabelled_and_named(tmp_path: Path) -> None:
    beside(tmp_path, "a", voc_object())
    beside(tmp_path, "bb", "")
    write_picture(tmp_path / "c.png", 9)
    write_picture(tmp_path / "other" / "d.png", 10)
    write_picture(tmp_path / "good" / "e.png", 11)
    dataset = open_dataset(tmp_path)
    photos = [(photo.path.name, photo.is_good) for photo in dataset.photos]
    assert sorted(photos) == [("a.png", False), ("bb.png", True), ("e.png", True)]
    assert [photo.path.name for photo in dataset.unlabelled] == ["c.png", "d.png"]
    [found] = [f for f in dataset.findings if f.kind is FindingKind.UNLABELLED]
    assert (found.level, found.place) == (Level.WARNING, "c.png; d.png")
    assert "it has no XML" in found.why


def test_masks_are_never_good_parts(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_picture(tmp_path / "JPEGImages" / f"{name}.png", ord(name))
        write_picture(tmp_path / "SegmentationClass" / f"{name}.png", ord(name) + 9)
        xml = voc_xml(f"{name}.png", voc_object())
        write_text(tmp_path / "Annotations" / f"{name}.xml", xml)
    split = SplitOptions(unlabelled=UnlabelledUse.GOOD)
    dataset = open_dataset(tmp_path, split=split)
    assert [photo.path.parent.name for photo in dataset.photos] == ["JPEGImages"] * 2
    assert {photo.state for photo in dataset.unlabelled} == {LabelState.UNCLEAR}


@pytest.mark.parametrize("flag", ["difficult", "truncated", "occluded"])
def test_difficult_and_truncated_objects_are_boxes(tmp_path: Path, flag: str) -> None:
    flagged = voc_object().replace("</object>", f"<{flag}>1</{flag}></object>")
    beside(tmp_path, "a", flagged)
    assert open_dataset(tmp_path).splits["all"][0].boxes.tolist() == [list(BOX)]


def test_parts_of_an_object_are_no_boxes(tmp_path: Path) -> None:
    part = voc_object((9.0, 13.0, 12.0, 16.0), "head")
    part = part.replace("<object>", "<part>").replace("</object>", "</part>")
    beside(tmp_path, "a", voc_object().replace("</object>", f"{part}</object>"))
    dataset = open_dataset(tmp_path)
    assert dataset.labels == ("dot",)
    assert dataset.splits["all"][0].boxes.tolist() == [list(BOX)]


@pytest.mark.parametrize(
    "objects",
    [
        f"<objects>{voc_object()}</objects>",
        voc_object().replace("object>", "Object>"),
        voc_object().replace("object>", "defect>"),
    ],
    ids=["in another element", "in another case", "of another name"],
)
def test_objects_that_voc_has_elsewhere_are_errors(
    tmp_path: Path, objects: str
) -> None:
    beside(tmp_path, "a", objects)
    [error] = errors(tmp_path)
    assert (error.file.name, error.place) == ("a.xml", "line 4")
    assert "is not read" in error.why


def test_two_xml_of_one_picture_are_an_error(tmp_path: Path) -> None:
    beside(tmp_path, "a", voc_object())
    write_text(tmp_path / "other.xml", voc_xml("a.png", voc_object()))
    dataset = open_dataset(tmp_path)
    [error] = [f for f in dataset.findings if f.level is Level.ERROR]
    assert error.file.name == "other.xml"
    assert dataset.photo_count == 1


def test_turned_boxes_become_their_bounding_boxes_with_a_finding(
    tmp_path: Path,
) -> None:
    turned = (
        "<object><name>dot</name><robndbox><cx>32</cx><cy>24</cy><w>20</w><h>10</h>"
        f"<angle>{math.pi / 2}</angle></robndbox></object>"
    )
    beside(tmp_path, "a", turned)
    dataset = open_dataset(tmp_path)
    [box] = dataset.splits["all"][0].boxes
    assert np.allclose(box, [27, 14, 37, 34], atol=1e-4)
    assert any("turned box, 1 time" in f.why for f in dataset.findings)


@pytest.mark.parametrize(
    ("objects", "why"),
    [
        ("<object><name>dot</name></object>", "without four corners"),
        (voc_object(name=""), "without name"),
        (voc_object().replace("<xmin>8", "<xmin>NaN"), "without four corners"),
        (voc_object().replace("<xmin>8", "<xmin>eight"), "without four corners"),
        (voc_object().replace("<xmin>8", "<xmin>1e999"), "without four corners"),
        (voc_object((24, 36, 8, 12)), "in another order"),
        (voc_object((8, 36, 24, 12)), "in another order"),
        (voc_object((0.1, 0.2, 0.5, 0.6)), "shares of the photo"),
        (voc_object((0.1, 0.2, 1, 1)), "shares of the photo"),
    ],
)
def test_malformed_objects_are_errors_with_their_line(
    tmp_path: Path, objects: str, why: str
) -> None:
    beside(tmp_path, "a", f"{voc_object()}\n{objects}")
    dataset = open_dataset(tmp_path)
    assert len(dataset.splits["all"][0].labels) == 1
    [error] = [f for f in dataset.findings if f.level is Level.ERROR]
    assert why in error.why
    assert error.place == "object 2, line 8"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (BOMB, "document type"),
        (THIEF, "document type"),
        ("<annotation><object>", "no element found"),
        ("<annotation>" + "<a>" * 100, "in each other"),
        ('<?xml version="1.0" encoding="martian"?><annotation/>', "unknown encoding"),
        ("", "no element found"),
    ],
)
def test_harmful_and_damaged_xml_is_an_error_of_its_file(
    tmp_path: Path, content: str, why: str
) -> None:
    root = write_voc(tmp_path / "d")
    write_picture(root / "JPEGImages" / "bad.png", 5)
    write_text(root / "Annotations" / "bad.xml", content)
    dataset = open_dataset(root)
    [error] = [f for f in dataset.findings if f.level is Level.ERROR]
    assert error.file.name == "bad.xml"
    assert why in error.why
    [unclear] = dataset.unlabelled  # --unlabelled good does not take it either
    assert (unclear.path.name, unclear.state) == ("bad.png", LabelState.UNCLEAR)


def test_entity_bomb_is_refused(tmp_path: Path) -> None:
    write_text(tmp_path / "annotations.xml", BOMB)
    with pytest.raises(DatasetError, match="document type"):
        open_dataset(tmp_path)


@pytest.mark.parametrize("width", ["128", "128.0", " 128 ", "1.28e2"])
def test_size_that_the_xml_states_is_compared(tmp_path: Path, width: str) -> None:
    text = voc_xml("a.png", voc_object()).replace("<width>64", f"<width>{width}")
    write_picture(tmp_path / "a.png")
    write_text(tmp_path / "a.xml", text)
    assert any("128 x 48" in f.why for f in open_dataset(tmp_path).findings)


def test_size_that_is_no_number_is_named(tmp_path: Path) -> None:
    text = voc_xml("a.png", voc_object()).replace("<width>64", "<width>64 px")
    write_picture(tmp_path / "a.png")
    write_text(tmp_path / "a.xml", text)
    [found] = [f for f in open_dataset(tmp_path).findings if f.place == "size"]
    assert "'64 px' x '48' is not read" in found.why
