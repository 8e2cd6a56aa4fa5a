"""The picture of each VOC file: by its name, its place, and what it states."""

from pathlib import Path

import pytest

from tests.simulators.exports import (
    BOX,
    voc_object,
    voc_xml,
    write_picture,
    write_text,
    write_voc,
)
from trainer.data.dataset import Dataset, open_dataset
from trainer.data.findings import Finding, Level
from trainer.data.formats.rows import LabelState

STATED = "<folder>{}</folder><filename>"


def xml(root: Path, place: str, filename: str = "", **stated: str) -> None:
    """Write the XML of one photo with one box, and what else it states."""
    text = voc_xml(filename or f"{Path(place).name}.png", voc_object())
    for tag, value in stated.items():
        text = text.replace("<filename>", f"<{tag}>{value}</{tag}><filename>")
    write_text(root / f"{place}.xml", text)


def pictures(root: Path, *places: str) -> Path:
    """Write pictures that all differ."""
    for seed, place in enumerate(places):
        write_picture(root / place, seed)
    return root


def errors(dataset: Dataset) -> list[Finding]:
    """Return the errors of a dataset."""
    return [f for f in dataset.findings if f.level is Level.ERROR]


def labelled(dataset: Dataset) -> list[str]:
    """Return the photos with a box."""
    return sorted(dataset.relative(p.path) for p in dataset.photos if not p.is_good)


def doubtful(dataset: Dataset) -> list[str]:
    """Return the photos that no option takes as good parts."""
    return sorted(
        dataset.relative(p.path)
        for p in dataset.unlabelled
        if p.state is LabelState.UNCLEAR
    )


@pytest.mark.parametrize("place", ["good", "other", "JPEGImages/old"])
def test_namesake_of_a_missing_picture_is_not_taken_for_it(
    tmp_path: Path, place: str
) -> None:
    root = pictures(tmp_path, "JPEGImages/a.png", f"{place}/b.png")
    xml(root, "Annotations/a")
    xml(root, "Annotations/b")
    dataset = open_dataset(root)
    assert labelled(dataset) == ["JPEGImages/a.png"]
    [error] = errors(dataset)
    assert error.file.name == "b.xml"
    assert f"its picture 'b.png' is not there. {place}/b.png has the same" in error.why


def test_name_of_another_picture_in_the_xml_is_an_error_with_both(
    tmp_path: Path,
) -> None:
    root = pictures(tmp_path, "a.png", "b.png", "c.png")
    xml(root, "a", "b.png")  # copied and renamed, or exchanged
    xml(root, "c")
    dataset = open_dataset(root)
    assert labelled(dataset) == ["c.png"]
    assert doubtful(dataset) == ["a.png", "b.png"]
    [error] = errors(dataset)
    assert error.why.startswith(
        "its <filename> is that of b.png, its own name or place that of a.png:"
    )


def test_exchanged_xml_files_are_both_errors(tmp_path: Path) -> None:
    root = pictures(tmp_path, "a.png", "b.png", "c.png")
    xml(root, "a", "b.png")
    xml(root, "b", "a.png")
    xml(root, "c")
    dataset = open_dataset(root)
    assert labelled(dataset) == ["c.png"]
    assert [error.file.name for error in errors(dataset)] == ["a.xml", "b.xml"]


def test_path_of_another_picture_in_the_xml_is_an_error(tmp_path: Path) -> None:
    root = pictures(tmp_path, "a.png", "b.png", "c.png")
    xml(root, "a", path="C:\\\\photos\\b.png")
    xml(root, "c", path="C:\\photos\\older.png")
    dataset = open_dataset(root)
    assert labelled(dataset) == ["c.png"]
    [error] = errors(dataset)
    assert "its <path> is that of b.png" in error.why


def test_single_name_that_is_nowhere_is_an_error(tmp_path: Path) -> None:
    root = pictures(tmp_path, "a.png", "b.png")
    xml(root, "a", "IMG_0815.png")
    xml(root, "b")
    dataset = open_dataset(root)
    assert labelled(dataset) == ["b.png"]
    assert doubtful(dataset) == ["a.png"]
    [error] = errors(dataset)
    assert (
        error.why == "its <filename> is 'IMG_0815.png', its own name is that of a.png."
    )


def test_photos_and_xml_renamed_together_are_read_with_a_warning(
    tmp_path: Path,
) -> None:
    root = pictures(tmp_path, "a.png", "b.png")
    xml(root, "a", "IMG_0815.png")
    xml(root, "b", "IMG_0816.png")
    dataset = open_dataset(root)
    assert labelled(dataset) == ["a.png", "b.png"]
    assert not errors(dataset)
    assert any("no <filename> of the 2 XML files" in f.why for f in dataset.findings)


@pytest.mark.parametrize(
    ("picture", "stem", "filename"),
    [
        ("a.png", "a", "a.jpg"),
        ("a.png", "a", "a"),
        ("a.png", "a", ""),
        ("a.png", "a", "A.PNG"),
        ("a.png", "a", "C:\\photos\\a.png"),
        ("a.png", "a", "/home/me/photos/a.png"),
        ("my photo.png", "my photo", "my%20photo.png"),
        ("my_photo.png", "my_photo", "my photo.png"),
        ("st\u00fcck.png", "stu\u0308ck", "st\u00fcck.png"),
        ("0123abcd-a.png", "0123abcd-a", "a.png"),
        ("a.png", "a", "0123abcd-a.png"),
        ("a_png.rf.0f9e8d7c.jpg", "a_png.rf.0f9e8d7c", "a.png"),
        ("a.png", "a", "a_png.rf.0f9e8d7c.jpg"),
        ("a.png", "a.png", "a.png"),
        ("IMG 7.png", "0001", "IMG 7.png"),
        ("a.v2.png", "a.v2", "a.v2.png"),
    ],
)
def test_names_that_differ_harmlessly_are_read(
    tmp_path: Path, picture: str, stem: str, filename: str
) -> None:
    root = pictures(tmp_path, f"JPEGImages/{picture}", "JPEGImages/z.png")
    text = voc_xml(filename, voc_object())
    write_text(root / "Annotations" / f"{stem}.xml", text)
    xml(root, "Annotations/z")
    dataset = open_dataset(root)
    assert labelled(dataset) == [f"JPEGImages/{picture}", "JPEGImages/z.png"]
    assert not [f for f in dataset.findings if "XML" in f.why or "<" in f.why]


def test_every_picture_that_fits_one_xml_is_named(tmp_path: Path) -> None:
    root = pictures(tmp_path, "a.png", "a.jpg", "b.png")
    xml(root, "a")
    xml(root, "b")
    dataset = open_dataset(root)
    [error] = errors(dataset)
    assert error.why == "2 pictures fit it: a.jpg; a.png."
    assert doubtful(dataset) == ["a.jpg", "a.png"]


def test_same_names_in_two_folders_belong_to_the_xml_of_their_folder(
    tmp_path: Path,
) -> None:
    root = tmp_path
    for lot, seed in (("lot1", 1), ("lot2", 2)):
        write_picture(root / "JPEGImages" / lot / "a.png", seed)
        xml(root, f"Annotations/{lot}/a", f"{lot}/a.png")
    dataset = open_dataset(root)
    assert labelled(dataset) == ["JPEGImages/lot1/a.png", "JPEGImages/lot2/a.png"]
    assert not errors(dataset)


@pytest.mark.parametrize("tag", ["filename", "folder", "path"])
def test_stated_folder_of_a_namesake_is_an_error(tmp_path: Path, tag: str) -> None:
    root = pictures(tmp_path, "lot1/a.png", "lot2/a.png", "lot1/b.png", "lot2/b.png")
    stated = {"filename": "", "folder": "lot2", "path": "/x/lot2/a.png"}
    filename = "lot2/a.png" if tag == "filename" else "a.png"
    xml(root, "lot1/a", filename, **({} if tag == "filename" else {tag: stated[tag]}))
    xml(root, "lot1/b")
    dataset = open_dataset(root)
    [error] = errors(dataset)
    assert f"its <{tag}> is that of lot2/a.png" in error.why
    assert labelled(dataset) == ["lot1/b.png"]


def test_folder_in_the_name_must_match_where_it_exists(tmp_path: Path) -> None:
    root = pictures(tmp_path, "JPEGImages/lot1/a.png", "JPEGImages/lot2/b.png")
    xml(root, "Annotations/a", "lot2/a.png")
    xml(root, "Annotations/b", "lot2/b.png")
    dataset = open_dataset(root)
    assert labelled(dataset) == ["JPEGImages/lot2/b.png"]
    [error] = errors(dataset)
    assert "its picture 'lot2/a.png' is not there" in error.why


def test_folder_of_the_time_of_labelling_does_not_count(tmp_path: Path) -> None:
    root = pictures(tmp_path, "train/a.png", "valid/b.png")
    xml(root, "train/a", folder="valid")  # labelled there, moved since
    xml(root, "valid/b", folder="somewhere", path="/home/me/somewhere/b.png")
    dataset = open_dataset(root)
    assert labelled(dataset) == ["train/a.png", "valid/b.png"]
    assert not errors(dataset)


def test_flat_xml_of_pictures_in_deeper_folders_are_read(tmp_path: Path) -> None:
    root = pictures(tmp_path, "images/lot1/a.png", "images/lot2/b.png")
    xml(root, "labels/xml/a")
    xml(root, "labels/xml/b")
    assert labelled(open_dataset(root)) == ["images/lot1/a.png", "images/lot2/b.png"]


def test_masks_of_the_challenge_are_not_its_photos(tmp_path: Path) -> None:
    masks = [f"Segmentation{kind}/a.png" for kind in ("Class", "Object")]
    root = pictures(tmp_path, "JPEGImages/a.jpg", *masks)
    xml(root, "Annotations/a", "a.jpg", folder="VOC2012")
    dataset = open_dataset(root)
    assert (labelled(dataset), errors(dataset)) == (["JPEGImages/a.jpg"], [])


def test_second_xml_of_a_picture_in_another_folder_is_named(tmp_path: Path) -> None:
    root = pictures(tmp_path, "JPEGImages/a.png", "JPEGImages/b.png")
    for place in ("Annotations/a", "Annotations/b", "backup/a"):
        xml(root, place)
    [error] = errors(open_dataset(root))
    assert error.file == root / "backup" / "a.xml"
    assert error.why == "describes a.png, as Annotations/a.xml does."


def test_xml_in_good_is_that_of_the_picture_beside_it(tmp_path: Path) -> None:
    root = pictures(tmp_path, "good/a.png", "images/a.png")
    xml(root, "images/a")
    write_text(root / "good" / "a.xml", voc_xml("a.png", ""))
    dataset = open_dataset(root)
    assert labelled(dataset) == ["images/a.png"]
    assert dataset.photo_count == 2
    assert not errors(dataset)


def test_damaged_xml_in_a_folder_of_labels_is_an_error(tmp_path: Path) -> None:
    root = pictures(tmp_path, "images/a.png", "images/b.png")
    xml(root, "labels/a")
    write_text(root / "labels" / "b.xml", "")
    dataset = open_dataset(root)
    [error] = errors(dataset)
    assert error.file.name == "b.xml"
    assert doubtful(dataset) == ["images/b.png"]


def test_boxes_are_those_of_the_photo(tmp_path: Path) -> None:
    dataset = open_dataset(write_voc(tmp_path))
    assert dataset.splits["all"][0].boxes.tolist() == [list(BOX)]
