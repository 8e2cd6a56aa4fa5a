"""Splits of Pascal VOC: lists in ``ImageSets/Main``."""

from pathlib import Path

from tests.simulators.exports import (
    voc_object,
    voc_xml,
    write_picture,
    write_text,
    write_voc,
)
from trainer.data.dataset import Dataset, open_dataset
from trainer.data.findings import FindingKind, Level
from trainer.data.formats.rows import LabelState


def with_lists(root: Path, **lists: str) -> Dataset:
    """Return VOC of two photos, opened, with lists: name to text."""
    write_voc(root)
    for name, text in lists.items():
        write_text(root / "ImageSets" / "Main" / f"{name}.txt", text)
    return open_dataset(root)


def named(dataset: Dataset) -> dict[str, list[str]]:
    """Return the names of the photos of each split."""
    return {n: [p.path.name for p in ps] for n, ps in dataset.splits.items() if ps}


def test_lists_decide_about_splits_and_lists_of_classes_do_not(tmp_path: Path) -> None:
    dataset = with_lists(
        tmp_path / "d",
        train="a\n",
        val="b\n",
        trainval="a\nb\n",
        dot_train="a 1\n",
        dot_val="b -1\n",
    )
    assert named(dataset) == {"train": ["a.png"], "val": ["b.png"]}


def test_photos_in_no_list_and_names_without_photo_are_reported(tmp_path: Path) -> None:
    dataset = with_lists(tmp_path / "d", default='a\n"lost one"\n')
    assert named(dataset) == {"all": ["a.png"]}
    found = {finding.place: finding.why for finding in dataset.findings}
    assert found.keys() == {"lost one", "b.png"}
    assert "it is in no list of ImageSets/Main" in found["b.png"]
    assert [photo.state for photo in dataset.unlabelled] == [LabelState.UNCLEAR]


def test_photo_in_two_splits_is_an_error_and_stays_measured_on(tmp_path: Path) -> None:
    dataset = with_lists(tmp_path / "d", train="a\nb\n", val="b\n")
    assert named(dataset) == {"train": ["a.png"], "val": ["b.png"]}
    [error] = [f for f in dataset.findings if f.level is Level.ERROR]
    assert (error.kind, error.place) == (FindingKind.SAME_IN_TWO_SPLITS, "b.png")
    assert error.why == "1 of its photos are in val.txt too."


def test_photo_in_a_list_of_a_lot_too_stays_in_its_split(tmp_path: Path) -> None:
    dataset = with_lists(tmp_path / "d", train="a\n", val="b\n", LOT1="a\nb\n")
    assert named(dataset) == {"train": ["a.png"], "val": ["b.png"]}
    assert not [f for f in dataset.findings if f.level is Level.ERROR]


def test_photo_that_a_list_names_twice_counts_once(tmp_path: Path) -> None:
    dataset = with_lists(tmp_path / "d", train="a\na 1\na.png\na\n", val="b\n")
    assert named(dataset) == {"train": ["a.png"], "val": ["b.png"]}


def test_listed_picture_without_xml_is_unlabelled(tmp_path: Path) -> None:
    write_picture(tmp_path / "d" / "JPEGImages" / "c.png", 3)
    dataset = with_lists(tmp_path / "d", train="a\nc\n", val="b\n")
    assert named(dataset) == {"train": ["a.png"], "val": ["b.png"]}
    assert [photo.path.name for photo in dataset.unlabelled] == ["c.png"]


def test_name_of_another_unicode_form_is_the_photo(tmp_path: Path) -> None:
    root = tmp_path / "d"
    write_picture(root / "JPEGImages" / "stu\u0308ck.png", 3)
    xml = voc_xml("st\u00fcck.png", voc_object())
    write_text(root / "Annotations" / "st\u00fcck.xml", xml)
    dataset = with_lists(root, train="a\nst\u00fcck\n", val="b\n")
    assert dataset.photo_count == 3
    assert not dataset.unlabelled


def test_lists_of_two_years_are_those_of_their_own_photos(tmp_path: Path) -> None:
    for year, split in (("VOC2007", "train"), ("VOC2012", "val")):
        with_lists(tmp_path / year, **{split: "a\nb\n"})
    dataset = open_dataset(tmp_path)
    assert {split: len(photos) for split, photos in dataset.splits.items()} == {
        "train": 2,
        "val": 2,
    }
    folders = {photo.path.parts[-3] for photo in dataset.splits["train"]}
    assert folders == {"VOC2007"}
