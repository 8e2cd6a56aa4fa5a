"""CVAT for images: subsets, shapes that are no boxes, and what is wrong."""

from pathlib import Path

import numpy as np
import pytest

from models.errors import DatasetError
from tests.simulators.exports import CVAT_BOX, cvat_xml, write_cvat, write_picture
from trainer.data.dataset import open_dataset
from trainer.data.findings import Level

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
    assert found.why.startswith(f"{kind}, 1 times")
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


def test_tags_of_whole_pictures_are_no_boxes(tmp_path: Path) -> None:
    xml = cvat_xml('<tag label="dot"/>')
    assert not open_dataset(write_cvat(tmp_path / "d", xml)).findings


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
    assert any("2 pictures could be meant" in f.why for f in dataset.findings)
    assert dataset.photo_count == 1
