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
from trainer.data.findings import Level

BOMB = """<?xml version="1.0"?><!DOCTYPE annotation [<!ENTITY a "aaaaaaaa">
<!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><annotation><filename>&b;</filename>
</annotation>"""
THIEF = """<?xml version="1.0"?><!DOCTYPE annotation [<!ENTITY a SYSTEM
"file:///etc/passwd">]><annotation><filename>&a;</filename></annotation>"""


def beside(root: Path, name: str, objects: str, filename: str = "") -> None:
    """Write a picture and its XML into one folder."""
    write_picture(root / f"{name}.png", len(name))
    write_text(root / f"{name}.xml", voc_xml(filename or f"{name}.png", objects))


def test_xml_beside_pictures_in_folders_of_splits(tmp_path: Path) -> None:
    for split in ("train", "valid"):
        beside(tmp_path / split, f"{split}-a", voc_object())
    dataset = open_dataset(tmp_path)
    assert {name: len(photos) for name, photos in dataset.splits.items()} == {
        "train": 1,
        "val": 1,
    }
    assert dataset.splits["val"][0].boxes.tolist() == [list(BOX)]


def test_lists_decide_about_splits_and_lists_of_classes_do_not(tmp_path: Path) -> None:
    root = write_voc(tmp_path / "d")
    main = root / "ImageSets" / "Main"
    write_text(main / "train.txt", "a\n")
    write_text(main / "val.txt", "b\n")
    write_text(main / "trainval.txt", "a\nb\n")
    write_text(main / "dot_train.txt", "a 1\n")
    write_text(main / "dot_val.txt", "b -1\n")
    dataset = open_dataset(root)
    named = {n: [p.path.name for p in ps] for n, ps in dataset.splits.items()}
    assert named == {"train": ["a.png"], "val": ["b.png"]}


def test_photos_in_no_list_and_names_without_photo_are_reported(tmp_path: Path) -> None:
    root = write_voc(tmp_path / "d")
    write_text(root / "ImageSets" / "Main" / "default.txt", 'a\n"lost one"\n')
    dataset = open_dataset(root)
    assert [p.path.name for p in dataset.splits["all"]] == ["a.png"]
    found = {finding.place for finding in dataset.findings}
    assert found == {"lost one", "b.png"}


def test_pictures_without_xml_are_good_with_a_finding(tmp_path: Path) -> None:
    beside(tmp_path, "a", voc_object())
    write_picture(tmp_path / "c.png", 9)
    dataset = open_dataset(tmp_path)
    assert [photo.is_good for photo in dataset.splits["all"]] == [False, True]
    [found] = [f for f in dataset.findings if "no XML" in f.why]
    assert (found.level, found.place) == (Level.WARNING, "c.png")


def test_name_of_the_xml_counts_more_than_the_name_in_it(tmp_path: Path) -> None:
    beside(tmp_path, "a", voc_object())
    beside(tmp_path, "bb", "", filename="a.png")  # copied and renamed
    names = [photo.path.name for photo in open_dataset(tmp_path).splits["all"]]
    assert names == ["a.png", "bb.png"]


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
    assert any("turned box, 1 times" in f.why for f in dataset.findings)


@pytest.mark.parametrize(
    ("objects", "why"),
    [
        ("<object><name>dot</name></object>", "without four corners"),
        (voc_object(name=""), "without name"),
        (voc_object().replace("<xmin>8", "<xmin>NaN"), "without four corners"),
        (voc_object().replace("<xmin>8", "<xmin>eight"), "without four corners"),
        (voc_object().replace("<xmin>8", "<xmin>1e999"), "without four corners"),
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


def test_entity_bomb_is_refused(tmp_path: Path) -> None:
    write_text(tmp_path / "annotations.xml", BOMB)
    with pytest.raises(DatasetError, match="document type"):
        open_dataset(tmp_path)


def test_size_that_the_xml_states_is_compared(tmp_path: Path) -> None:
    text = voc_xml("a.png", voc_object()).replace("<width>64", "<width>128")
    write_picture(tmp_path / "a.png")
    write_text(tmp_path / "a.xml", text)
    assert any("128 x 48" in f.why for f in open_dataset(tmp_path).findings)
