"""CVAT for images: subsets, shapes that are no boxes, and what is wrong."""

from pathlib import Path

import numpy as np
import pytest

from models.errors import DatasetError
from tests.simulators.exports import (
    CVAT_BOX,
    cvat_xml,
    write_cvat,
    write_picture,
    write_text,
)
from trainer.data.dataset import Dataset, open_dataset
from trainer.data.findings import Finding, FindingKind, Level
from trainer.data.formats.rows import LabelState

TURNED = (
    '<box label="dot" xtl="22" ytl="19" xbr="42" ybr="29" rotation="90.00"></box>',
    "turned box",
    [27, 14, 37, 34],
)
POLYGON = ('<polygon label="dot" points="5,6;20,4;9,30"/>', "polygon", [5, 4, 20, 30])
LINE = ('<polyline label="dot" points="5,6;20,14"/>', "polyline", [5, 6, 20, 14])
ELLIPSE = (
    '<ellipse label="dot" cx="30" cy="20" rx="10" ry="5" rotation="90"/>',
    "ellipse",
    [25, 10, 35, 30],
)
MASK = (
    '<mask label="dot" rle="3, 4" left="10" top="11" width="12" height="13"/>',
    "mask",
    [10, 11, 22, 24],
)
CORNERS = {"tl": (5, 6), "bl": (5, 20), "tr": (15, 6), "br": (15, 20)}
CUBOID_POINTS = " ".join(
    f'x{name}{side}="{x + 4 * side}" y{name}{side}="{y - 3 * side}"'
    for side in (1, 2)
    for name, (x, y) in CORNERS.items()
)
CUBOID = (f'<cuboid label="dot" {CUBOID_POINTS}/>', "cuboid", [9, 0, 23, 17])


def test_classes_are_in_the_order_of_the_task_and_unused_ones_stay(
    tmp_path: Path,
) -> None:
    assert open_dataset(write_cvat(tmp_path / "d")).labels == ("dot", "bar")


def test_subset_of_a_picture_counts_more_than_that_of_the_task(tmp_path: Path) -> None:
    xml = cvat_xml(subset="Train", image='subset="Validation"')
    dataset = open_dataset(write_cvat(tmp_path / "d", xml))
    named = {n: [p.path.name for p in ps] for n, ps in dataset.splits.items()}
    assert named == {"val": ["a.png"], "train": ["b.png"]}


def test_pictures_in_folders_of_subsets_are_found(tmp_path: Path) -> None:
    root = tmp_path / "d"
    xml = cvat_xml(subset="Train", image='subset="Train"')
    write_cvat(root, xml)
    for name in "ab":
        (root / "images" / "Train").mkdir(parents=True, exist_ok=True)
        (root / f"{name}.png").rename(root / "images" / "Train" / f"{name}.png")
    assert open_dataset(root).photo_count == 2


@pytest.mark.parametrize(
    ("shape", "kind", "box"), [TURNED, POLYGON, LINE, ELLIPSE, MASK, CUBOID]
)
def test_other_shapes_become_their_bounding_boxes_with_a_finding(
    tmp_path: Path, shape: str, kind: str, box: list[float]
) -> None:
    dataset = open_dataset(write_cvat(tmp_path / "d", cvat_xml(shape)))
    assert np.allclose(dataset.splits["all"][0].boxes, [box], atol=1e-4)
    [found] = [f for f in dataset.findings if "bounding box" in f.why]
    assert found.why.startswith(f"{kind}, 1 time")
    assert found.place == "image 0, line 8"


def test_many_shapes_are_one_finding(tmp_path: Path) -> None:
    dataset = open_dataset(write_cvat(tmp_path / "d", cvat_xml(POLYGON[0] * 40)))
    [found] = [f for f in dataset.findings if "bounding box" in f.why]
    assert "40 times" in found.why
    assert found.place.endswith("; …")


@pytest.mark.parametrize(
    "shape",
    [
        '<points label="dot" points="5,6"/>',
        '<skeleton label="dot"/>',
        '<polygon label="dot" points="5,six;7,8"/>',
        '<polygon label="dot" points=""/>',
        CVAT_BOX.replace('xtl="8.00"', 'xtl="NaN"'),
        CVAT_BOX.replace('xtl="8.00"', ""),
        CVAT_BOX.replace('label="dot"', ""),
    ],
)
def test_shapes_without_a_box_are_errors(tmp_path: Path, shape: str) -> None:
    dataset = open_dataset(write_cvat(tmp_path / "d", cvat_xml(shape)))
    [error] = [f for f in dataset.findings if f.level is Level.ERROR]
    assert (error.file.name, error.place) == ("annotations.xml", "image 0, line 8")


def errors(dataset: Dataset) -> list[Finding]:
    """Return the errors of a dataset."""
    return [f for f in dataset.findings if f.level is Level.ERROR]


def names(dataset: Dataset) -> list[str]:
    """Return the photos that are used."""
    return sorted(dataset.relative(photo.path) for photo in dataset.photos)


def unclear(dataset: Dataset) -> list[str]:
    """Return the photos that no option takes as good parts."""
    return sorted(
        dataset.relative(photo.path)
        for photo in dataset.unlabelled
        if photo.state is LabelState.UNCLEAR
    )


@pytest.mark.parametrize("label", ["dot", "good", "OK", ""])
def test_picture_with_a_tag_and_no_shape_is_left_out(
    tmp_path: Path, label: str
) -> None:
    xml = cvat_xml(f'<tag label="{label}" source="manual"></tag>')
    dataset = open_dataset(write_cvat(tmp_path / "d", xml))
    assert (names(dataset), unclear(dataset)) == (["b.png"], ["a.png"])
    [found] = [f for f in dataset.findings if f.kind is FindingKind.UNCLEAR_LABEL]
    assert f"its tag {label!r} has no box" in found.why
    assert "good/" in found.fix


def test_tag_beside_boxes_is_named_where_its_class_has_none(tmp_path: Path) -> None:
    tags = '<tag label="dot"/><tag label="bar"/>'
    dataset = open_dataset(write_cvat(tmp_path / "d", cvat_xml(CVAT_BOX + tags)))
    assert names(dataset) == ["a.png", "b.png"]
    [found] = dataset.findings
    assert found.why == "tag 'bar', 1 time, is not read: it has no box."


def test_shapes_in_no_image_are_errors(tmp_path: Path) -> None:
    xml = cvat_xml().replace("</annotations>", f"{CVAT_BOX}</annotations>")
    [error] = errors(open_dataset(write_cvat(tmp_path / "d", xml)))
    assert (error.place, "<box>, 1 time, is not read" in error.why) == (
        "line 13",
        True,
    )


@pytest.mark.parametrize("width", ["640", "640.0", "6.4e2", " 640 "])
def test_size_that_the_picture_does_not_have_is_an_error(
    tmp_path: Path, width: str
) -> None:
    xml = cvat_xml().replace('width="64"', f'width="{width}"', 1)
    [error] = errors(open_dataset(write_cvat(tmp_path / "d", xml)))
    assert error.kind is FindingKind.WRONG_SIZE
    assert "640 x 48" in error.why


@pytest.mark.parametrize(
    ("size", "is_other"),
    [("64 x 48", False), ("128 x 96", True), ("48 x 64", False), ("640 x 64", True)],
    ids=["same", "larger copy", "turned", "another"],
)
def test_size_of_a_good_part_is_compared_too(
    tmp_path: Path, size: str, *, is_other: bool
) -> None:
    width, height = size.split(" x ")
    head, tail = cvat_xml().split('name="b.png"')
    tail = tail.replace('width="64"', f'width="{width}"')
    tail = tail.replace('height="48"', f'height="{height}"')
    xml = f'{head}name="b.png"{tail}'
    found = errors(open_dataset(write_cvat(tmp_path / "d", xml)))
    assert ["it may be another photo" in f.why for f in found] == [True] * is_other


@pytest.mark.parametrize("width", ["64px", "-64", "64,0", "NaN", ""])
def test_size_that_is_no_number_is_named(tmp_path: Path, width: str) -> None:
    xml = cvat_xml().replace('width="64"', f'width="{width}"', 1)
    [found] = open_dataset(write_cvat(tmp_path / "d", xml)).findings
    assert found.why == f"its size {width!r} x '48' is not read: not two numbers."
    assert (found.level, found.place) == (Level.WARNING, "image 0, line 7")


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("st\u00fcck.png", "stu\u0308ck.png"),
        ("stu\u0308ck.png", "st\u00fcck.png"),
        ("lot1\\a.png", "lot1/a.png"),
    ],
    ids=["NFC", "NFD", "Windows"],
)
def test_other_spelling_of_a_name_is_the_picture(
    tmp_path: Path, name: str, place: str
) -> None:
    root = write_cvat(tmp_path / "d", cvat_xml().replace("a.png", name))
    (root / place).parent.mkdir(exist_ok=True)
    (root / "a.png").rename(root / place)
    dataset = open_dataset(root)
    assert (names(dataset), errors(dataset)) == (sorted(["b.png", place]), [])


def test_file_in_a_folder_of_another_case_is_read(tmp_path: Path) -> None:
    root = write_cvat(tmp_path / "d")
    (root / "Annotations").mkdir()
    (root / "annotations.xml").rename(root / "Annotations" / "annotations.xml")
    assert names(open_dataset(root)) == ["a.png", "b.png"]


def test_two_tasks_in_one_file_with_the_same_names_are_an_error(
    tmp_path: Path,
) -> None:
    joined = cvat_xml().replace('name="b.png"', 'name="a.png"').replace('"1"', '"0"')
    root = write_cvat(tmp_path / "d", joined)
    write_picture(root / "good" / "g.png", 3)
    dataset = open_dataset(root)
    [error] = errors(dataset)
    assert error.place == "image 0, line 11"
    assert "describes a.png, as annotations.xml, image 0, line 7 does" in error.why
    assert (names(dataset), unclear(dataset)) == (["good/g.png"], ["a.png"])


def test_two_files_that_describe_the_same_picture_are_an_error(tmp_path: Path) -> None:
    root = write_cvat(tmp_path / "d")
    write_text(root / "task2.xml", cvat_xml("").replace('name="b.png"', 'name="c.png"'))
    write_picture(root / "c.png", 3)
    dataset = open_dataset(root)
    [error] = errors(dataset)
    assert (error.file.name, error.place) == ("task2.xml", "image 0, line 7")
    assert "describes a.png, as annotations.xml, image 0" in error.why
    assert (names(dataset), unclear(dataset)) == (["b.png", "c.png"], ["a.png"])


def test_ids_of_two_tasks_may_be_the_same(tmp_path: Path) -> None:
    xml = cvat_xml().replace('id="1"', 'id="0"')
    dataset = open_dataset(write_cvat(tmp_path / "d", xml))
    assert (names(dataset), errors(dataset)) == (["a.png", "b.png"], [])
    assert [len(photo.labels) for photo in dataset.splits["all"]] == [1, 0]


@pytest.mark.parametrize("place", ["good", "other"])
def test_namesake_of_a_missing_picture_is_not_taken_for_it(
    tmp_path: Path, place: str
) -> None:
    root = write_cvat(tmp_path / "d")
    (root / place).mkdir()
    (root / "a.png").rename(root / place / "a.png")
    [error] = errors(open_dataset(root))
    assert f"'a.png' is not there. {place}/a.png has the same name" in error.why


def test_picture_of_another_place_than_the_rest_of_its_subset_is_not_taken(
    tmp_path: Path,
) -> None:
    root = tmp_path / "d"
    write_cvat(root, cvat_xml(subset="Train"))
    (root / "images" / "Train").mkdir(parents=True)
    (root / "b.png").rename(root / "images" / "Train" / "b.png")
    write_text(root / "annotations.xml", cvat_xml(subset="Train"))
    dataset = open_dataset(root)
    [error] = errors(dataset)
    assert "'a.png' is not there. a.png has the same name" in error.why


def test_folder_in_a_name_must_match(tmp_path: Path) -> None:
    root = tmp_path / "d"
    for place, seed in (("lot1/a.png", 1), ("lot2/b.png", 2)):
        write_picture(root / place, seed)
    xml = cvat_xml().replace('"a.png"', '"lot2/a.png"')
    xml = xml.replace('"b.png"', '"lot2/b.png"')
    write_text(root / "annotations.xml", xml)
    dataset = open_dataset(root)
    [error] = errors(dataset)
    assert "'lot2/a.png' is not there. lot1/a.png has the same name" in error.why
    assert names(dataset) == ["lot2/b.png"]


def test_picture_that_the_task_does_not_list_is_unlabelled(tmp_path: Path) -> None:
    root = write_cvat(tmp_path / "d")  # deleted in the task, or in another job
    write_picture(root / "c.png", 3)
    dataset = open_dataset(root)
    assert names(dataset) == ["a.png", "b.png"]
    assert [photo.path.name for photo in dataset.unlabelled] == ["c.png"]


def test_damaged_file_beside_a_whole_one_is_refused(tmp_path: Path) -> None:
    root = write_cvat(tmp_path / "d")
    write_text(root / "task2.xml", cvat_xml()[:300])
    with pytest.raises(DatasetError, match=r"task2\.xml: not an XML of labels"):
        open_dataset(root)


def test_tracks_of_a_video_are_refused(tmp_path: Path) -> None:
    root = write_cvat(tmp_path / "d", "<annotations><track/></annotations>")
    with pytest.raises(DatasetError, match="CVAT for video"):
        open_dataset(root)


def test_name_of_another_computer_is_found_by_its_end(tmp_path: Path) -> None:
    root = tmp_path / "d"
    for lot, seed in (("lot1", 1), ("lot2", 2)):
        write_picture(root / lot / "a.png", seed)
    write_picture(root / "lot1" / "b.png", 3)
    xml = cvat_xml().replace('name="a.png"', r'name="C:\photos\lot2\a.png"')
    (root / "annotations.xml").write_text(xml, encoding="utf-8")
    [photo, _] = open_dataset(root).splits["all"]
    assert photo.path == root / "lot2" / "a.png"


def test_name_that_two_pictures_have_is_an_error(tmp_path: Path) -> None:
    root = tmp_path / "d"
    for lot, seed in (("lot1", 1), ("lot2", 2)):
        write_picture(root / lot / "a.png", seed)
    write_picture(root / "b.png", 3)
    (root / "annotations.xml").write_text(cvat_xml(), encoding="utf-8")
    dataset = open_dataset(root)
    [error] = errors(dataset)
    assert "lot1/a.png; lot2/a.png has the same name" in error.why
    assert dataset.photo_count == 1
