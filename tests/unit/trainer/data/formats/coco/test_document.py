"""COCO: ids that name two things are refused, those of two exports above all."""

import math
from pathlib import Path
from typing import Any

import pytest

from models.errors import DatasetError
from trainer.data.formats.coco.document import CocoDocument, coco_id, read_document
from trainer.data.formats.json_file import JsonFile


def image(key: object, name: object = "a.png", **fields: object) -> dict[str, object]:
    return {"id": key, "file_name": name, **fields}


def box(image_id: object, key: object = 1, **fields: object) -> dict[str, object]:
    entry = {"id": key, "image_id": image_id, "category_id": 1, "bbox": [1, 2, 3, 4]}
    return {**entry, **fields}


def document_of(**lists: object) -> CocoDocument:
    content: dict[str, Any] = {
        "images": [image(1), image(2, "b.png")],
        "annotations": [box(1)],
        "categories": [{"id": 1, "name": "dot"}, {"id": 2, "name": "bar"}],
    }
    return read_document(JsonFile(Path("train.json"), {**content, **lists}))


def refusal(**lists: object) -> str:
    with pytest.raises(DatasetError) as caught:
        document_of(**lists)
    assert str(caught.value).startswith("train.json: ")
    return str(caught.value)


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (7, 7),
        (7.0, 7),
        ("7", "7"),
        ("a", "a"),
        (7.5, None),
        (True, None),
        (None, None),
        ([7], None),
        (math.nan, None),
        (math.inf, None),
    ],
)
def test_id_is_a_text_or_a_whole_number(value: object, read: object) -> None:
    assert coco_id(value) == read
    assert type(coco_id(value)) is type(read)


def test_image_id_of_two_pictures_is_refused_with_both() -> None:
    text = refusal(images=[image(1, "lot1/a.png"), image(1, "lot2/b.png")])
    assert "image id 1 is given to 'lot1/a.png' and to 'lot2/b.png'." in text
    assert "If two exports were joined" in text
    text = refusal(images=[image(1), image(1.0, "b.png")])
    assert "image id 1.0 is given to 'a.png' and to 'b.png'." in text


def test_image_id_of_one_picture_with_two_sizes_is_refused() -> None:
    text = refusal(images=[image(1, width=64), image(1, width=48)])
    assert "image id 1 is given twice to 'a.png', with different values." in text


def test_entries_that_are_there_twice_alike_are_read_once() -> None:
    document = document_of(images=[image(1), image(1)])
    assert list(document.images) == [1]
    [finding] = document.findings
    assert (finding.level, finding.place) == ("warning", "image 1")


def test_category_id_of_two_classes_is_refused_with_both() -> None:
    text = refusal(categories=[{"id": 1, "name": "dot"}, {"id": 1, "name": "bar"}])
    assert "category id 1 is given to 'dot' and to 'bar'." in text


def test_class_under_two_ids_that_boxes_use_is_refused() -> None:
    categories = [{"id": 1, "name": "dot"}, {"id": 2, "name": "dot"}]
    boxes = [box(1), box(1, 2, category_id=2)]
    text = refusal(categories=categories, annotations=boxes)
    assert "categories 1 and 2 are both named 'dot'." in text


def test_dummy_parent_may_have_the_name_of_a_class() -> None:
    """As Roboflow exports a project that is named like its class."""
    parent = {"id": 0, "name": "dot", "supercategory": "none"}
    child = {"id": 1, "name": "dot", "supercategory": "dot"}
    assert document_of(categories=[parent, child]).used_classes() == ["dot"]


@pytest.mark.parametrize(
    ("lists", "numbers"),
    [
        ({"images": [image(1), image("1", "b.png")]}, "image ids 1 and '1'"),
        ({"images": [image("1")]}, "image ids '1' and 1"),
        ({"annotations": [box("1")]}, "image ids 1 and '1'"),
        ({"annotations": [box(1, category_id="1")]}, "category ids 1 and '1'"),
    ],
    ids=["two images", "image", "image_id", "category_id"],
)
def test_ids_of_two_types_are_refused(lists: dict[str, object], numbers: str) -> None:
    assert f"{numbers}: a number and a text." in refusal(**lists)


def test_ids_that_are_floats_are_whole_numbers() -> None:
    document = document_of(images=[image(1.0)], annotations=[box(1.0)])
    assert list(document.images) == [1]


@pytest.mark.parametrize(
    ("lists", "why"),
    [
        ({"images": [image(True)]}, "The id of image 1 is True"),
        ({"images": [image(None)]}, "The id of image 1 is None"),
        ({"images": [image(1, None)]}, "The file_name of image 1 is None."),
        ({"images": [image(1, ["a"])]}, "The file_name of image 1 is ['a']."),
        ({"images": ["a.png"]}, "image 1 of its list is 'a.png'."),
        ({"categories": [{"id": 1, "name": None}]}, "The name of category 1 is None."),
        ({"categories": [{"id": 1, "name": " "}]}, "The name of category 1 is ' '."),
        ({"annotations": [box(True)]}, "The image_id of annotation 1 is True."),
        ({"annotations": [box(1.5)]}, "The image_id of annotation 1 is 1.5."),
    ],
    ids=str,
)
def test_entry_without_id_or_name_is_not_coco(
    lists: dict[str, object], why: str
) -> None:
    text = refusal(**lists)
    assert "not COCO" in text
    assert why in text


def test_annotation_id_of_different_boxes_is_a_warning() -> None:
    boxes = [box(1, 7), box(2, 7), box(1, 8), box(1, 8)]
    [finding] = document_of(annotations=boxes).findings
    assert (finding.level, finding.place) == ("warning", "annotation 7")
    assert finding.why.startswith("1 annotation id used more than once")


def test_annotations_without_an_id_are_no_repetition() -> None:
    boxes = [box(1, None), box(2, None)]
    assert not document_of(annotations=boxes).findings
