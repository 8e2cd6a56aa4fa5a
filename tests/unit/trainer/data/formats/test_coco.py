"""COCO: files, splits, categories, and what is wrong in an annotation."""

import json
from pathlib import Path
from typing import Any

import pytest

from models.errors import DatasetError
from tests.simulators.exports import write_picture
from trainer.data.findings import Level
from trainer.data.formats.coco import ROBOFLOW_NAME, is_coco, read
from trainer.data.formats.files import PictureFinder, files_below
from trainer.data.formats.json_file import JsonFile, read_json
from trainer.data.formats.rows import Annotations

DOT = {"id": 1, "name": "dot"}


def entry(**changes: object) -> dict[str, object]:
    """Return one annotation of 3 x 4 pixels at 1, 2."""
    box = {"id": 7, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}
    return {**box, **changes}


def document(**changes: object) -> dict[str, Any]:
    images = [{"id": 1, "file_name": "a.png"}]
    whole = {"images": images, "annotations": [entry()], "categories": [DOT]}
    return {**whole, **changes}


def annotations_of(
    root: Path, content: object, name: str = "train.json"
) -> Annotations:
    """Read one file in a dataset of one picture."""
    write_picture(root / "a.png")
    path = root / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content), "utf-8")
    return read([read_json(path)], PictureFinder(root, files_below(root)))


def test_file_is_known_by_its_images_or_by_its_name() -> None:
    assert is_coco(JsonFile(Path("x.json"), {"images": []}))
    assert not is_coco(JsonFile(Path("train.json"), {"info": {}}))
    assert not is_coco(JsonFile(Path("x.json"), None, "damaged"))
    assert is_coco(JsonFile(Path("val.json"), None, "damaged"))
    assert is_coco(JsonFile(Path(ROBOFLOW_NAME), None, "damaged"))


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("valid.json", "val"),
        ("annotations/instances_train2017.json", "train"),
        (ROBOFLOW_NAME, "all"),
        (f"test/{ROBOFLOW_NAME}", "test"),
    ],
)
def test_split_is_named_by_file_or_folder(
    tmp_path: Path, name: str, split: str
) -> None:
    assert list(annotations_of(tmp_path, document(), name).splits) == [split]


def test_box_is_read_with_its_class_and_place(tmp_path: Path) -> None:
    annotations = annotations_of(tmp_path, document())
    [[photo]] = annotations.splits.values()
    [row] = photo.rows
    assert (row.label, row.box, row.place) == ("dot", (1, 2, 4, 6), "annotation 7")
    assert (photo.path, photo.place) == (tmp_path / "a.png", "image 1")


def test_dummy_parent_is_no_class_and_a_used_one_is(tmp_path: Path) -> None:
    child = {"id": 2, "name": "bar", "supercategory": "dot"}
    boxes = [entry(category_id=2)]
    content = document(categories=[DOT, child], annotations=boxes)
    assert annotations_of(tmp_path, content).labels == ["bar"]
    content = document(categories=[DOT, child], annotations=[entry(), *boxes])
    assert annotations_of(tmp_path, content).labels == ["dot", "bar"]


@pytest.mark.parametrize(
    ("size", "stated"),
    [
        ({"width": 64, "height": 48}, (64, 48)),
        ({"width": "64", "height": "48"}, None),
        ({"width": 0, "height": 48}, None),
        ({}, None),
    ],
)
def test_size_counts_where_it_is_two_whole_numbers(
    tmp_path: Path, size: dict[str, object], stated: tuple[int, int] | None
) -> None:
    images = [{"id": 1, "file_name": "a.png", **size}]
    [[photo]] = annotations_of(tmp_path, document(images=images)).splits.values()
    assert photo.stated_size_px == stated


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"image_id": 9}, "image_id 9 is not among the images"),
        ({"category_id": None}, "category_id None is not among the categories"),
        ({"bbox": [1, 2, 3]}, "bbox is [1, 2, 3], expected four numbers"),
        ({"bbox": "1 2 3 4"}, "expected four numbers"),
        ({"bbox": [1, 2, 3, True]}, "expected four numbers"),
    ],
)
def test_annotation_that_cannot_be_used_is_an_error(
    tmp_path: Path, changes: dict[str, object], why: str
) -> None:
    annotations = annotations_of(tmp_path, document(annotations=[entry(**changes)]))
    [finding] = annotations.findings
    assert (finding.level, finding.place) == (Level.ERROR, "annotation 7")
    assert why in finding.why
    is_known = changes.get("image_id") is None
    assert finding.photo == (tmp_path / "a.png" if is_known else None)


@pytest.mark.parametrize("key", ["images", "annotations", "categories"])
@pytest.mark.parametrize("value", [None, {}, [5]])
def test_document_without_its_three_lists_is_refused(
    tmp_path: Path, key: str, value: object
) -> None:
    with pytest.raises(DatasetError, match=r"no list named|not COCO"):
        annotations_of(tmp_path, document(**{key: value}))
