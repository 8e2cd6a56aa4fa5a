"""COCO: files, splits, categories, and what is wrong in an annotation."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from models.errors import DatasetError
from tests.simulators.exports import write_picture
from trainer.data.checks.check import check_dataset
from trainer.data.dataset import open_dataset
from trainer.data.findings import FindingKind, Level
from trainer.data.formats.coco.reader import ROBOFLOW_NAME, is_coco, read
from trainer.data.formats.files import PictureFinder, files_below
from trainer.data.formats.json_file import JsonFile, read_json
from trainer.data.formats.recognize import read_annotations
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
    assert is_coco(JsonFile(Path("lot.json"), None, "damaged", start='{"images": ['))
    assert is_coco(JsonFile(Path("instances_val2017.json"), None, "damaged"))
    studio = '[{"id": 1, "annotations": ['
    assert not is_coco(JsonFile(Path("x.json"), None, "damaged", start=studio))


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
        ({"width": 64.0, "height": "48"}, (64, 48)),
        ({"width": 0, "height": 48}, (0, 48)),
        ({"width": 64}, (64, 0)),
        ({"width": None, "height": 0}, None),
        ({}, None),
    ],
)
def test_stated_size_counts_whatever_type_its_numbers_have(
    tmp_path: Path, size: dict[str, object], stated: tuple[int, int] | None
) -> None:
    images = [{"id": 1, "file_name": "a.png", **size}]
    [[photo]] = annotations_of(tmp_path, document(images=images)).splits.values()
    assert photo.stated_size_px == stated


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"image_id": 9}, "image_id 9 is not among the images"),
        ({"category_id": None}, "it has no category_id"),
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


def refusal(root: Path, content: object, name: str = "train.json") -> str:
    """Return the error of a file that is refused as a whole."""
    with pytest.raises(DatasetError) as caught:
        annotations_of(root, content, name)
    return str(caught.value)


def written(root: Path, files: dict[str, object], *pictures: str) -> Annotations:
    """Read several files in a dataset of some pictures."""
    for seed, picture in enumerate(pictures):
        write_picture(root / picture, seed)
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = content if isinstance(content, str) else json.dumps(content)
        path.write_text(text, "utf-8")
    return read_annotations(root)


def whys(annotations: Annotations, level: Level = Level.ERROR) -> list[str]:
    return [f.why for f in annotations.findings if f.level is level]


def states(annotations: Annotations) -> dict[str, str]:
    """Return the state of each photo, and why it is not labelled."""
    return {
        photo.path.name: f"{photo.state.value} {photo.state_reason}".strip()
        for photos in annotations.splits.values()
        for photo in photos
    }


A, B = {"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}


def test_image_without_annotations_is_a_good_part(tmp_path: Path) -> None:
    content = document(images=[A, B])
    annotations = written(tmp_path, {"train.json": content}, "a.png", "b.png")
    assert states(annotations) == {"a.png": "labelled", "b.png": "labelled"}
    assert not annotations.findings


def test_pictures_are_all_below_the_folder_that_holds_most_of_them(
    tmp_path: Path,
) -> None:
    content = document(images=[A, B])
    pictures = "images/train/a.png", "images/train/b.png", "a.png", "trash/b.png"
    annotations = written(tmp_path, {"train.json": content}, *pictures)
    found = [photo.path for photo in annotations.splits["train"]]
    assert found == [tmp_path / "images/train/a.png", tmp_path / "images/train/b.png"]


def test_missing_picture_is_not_replaced_by_a_namesake(tmp_path: Path) -> None:
    images = [A, B, {"id": 3, "file_name": "c.png"}]
    pictures = "images/b.png", "images/c.png", "a.png", "good/a.png"
    annotations = written(tmp_path, {"train.json": document(images=images)}, *pictures)
    first, *others = annotations.splits["train"]
    assert "'a.png' is not there. a.png; good/a.png has the same name" in first.fault
    assert [photo.path.parent.name for photo in others] == ["images", "images"]


@pytest.mark.parametrize(
    "name", ["./a.png", "images\\a.png", "images/a.png"], ids=["dot", "Windows", "path"]
)
def test_name_with_folders_is_found(tmp_path: Path, name: str) -> None:
    images = [{"id": 1, "file_name": name}]
    content = {"train.json": document(images=images)}
    annotations = written(tmp_path, content, "images/a.png")
    [photo] = annotations.splits["train"]
    assert photo.path == tmp_path / "images" / "a.png"


def test_name_in_another_unicode_form_is_found_beside_others(tmp_path: Path) -> None:
    images = [A, {"id": 2, "file_name": "Stück.png"}]
    content = {"train.json": document(images=images)}
    annotations = written(tmp_path, content, "a.png", "Stu\u0308ck.png")
    assert not [photo.fault for photo in annotations.photos if photo.fault]


def test_picture_listed_twice_alike_is_read_once(tmp_path: Path) -> None:
    images = [A, {"id": 2, "file_name": "a.png"}]
    boxes = [entry(), entry(id=8, image_id=2, bbox=[1, 2, 3, 4.5])]
    content = document(images=images, annotations=boxes)
    annotations = written(tmp_path, {"train.json": content}, "a.png")
    [photo] = annotations.splits["train"]
    assert len(photo.rows) == 1
    [why] = whys(annotations, Level.WARNING)
    assert why == (
        "1 picture described twice, and read once: a.png is image 1 with 1 box and "
        "image 2 with 1 box."
    )


@pytest.mark.parametrize(
    "second", [[], [entry(id=8, image_id=2, bbox=[9, 9, 9, 9])]], ids=["none", "other"]
)
def test_picture_listed_twice_with_other_boxes_is_an_error_and_left_out(
    tmp_path: Path, second: list[object]
) -> None:
    images = [A, {"id": 2, "file_name": "./a.png"}]
    content = document(images=images, annotations=[entry(), *second])
    annotations = written(tmp_path, {"train.json": content}, "a.png")
    [why] = whys(annotations)
    assert "a.png is image 1 with 1 box and image 2 with " in why
    assert why.endswith("1 box." if second else "no boxes.")
    reason = "unclear it is described twice, and differently"
    assert states(annotations) == {"a.png": reason}


def test_second_file_of_one_split_that_differs_is_an_error_with_both_named(
    tmp_path: Path,
) -> None:
    files = {
        "train.json": document(),
        "annotations/train.json": document(annotations=[]),
    }
    annotations = written(tmp_path, files, "a.png")
    [error] = [f for f in annotations.findings if f.level is Level.ERROR]
    assert error.file == tmp_path / "train.json"
    assert "a.png is image 1 of annotations/train.json with no boxes" in error.why


def test_second_file_of_one_split_that_is_alike_is_a_warning(tmp_path: Path) -> None:
    files = {"train.json": document(), "instances_train2017.json": document()}
    annotations = written(tmp_path, files, "a.png")
    assert len(annotations.splits["train"]) == 1
    assert (
        "1 picture described twice, and read once"
        in whys(annotations, Level.WARNING)[0]
    )


def test_damaged_file_beside_a_whole_one_is_refused(tmp_path: Path) -> None:
    cut_off = json.dumps(document())[:-20]
    files = {"lot1.json": document(), "lot2.json": cut_off}
    with pytest.raises(DatasetError, match=r"lot2\.json: damaged") as caught:
        written(tmp_path, files, "a.png")
    assert "lot1.json can be read, but is only a part" in caught.value.why


def test_key_that_is_twice_is_named(tmp_path: Path) -> None:
    text = json.dumps(document())
    twice = text[:-1] + ', "annotations": []}'
    with pytest.raises(DatasetError, match=r"train\.json: damaged") as caught:
        written(tmp_path, {"train.json": twice}, "a.png")
    assert "the key 'annotations' is twice in one object" in caught.value.why


@pytest.mark.parametrize(
    "size",
    [
        {"width": 640, "height": 48},
        {"width": 640.0, "height": 48},
        {"width": "640", "height": "48"},
        {"width": 640},
        {"height": 47.0},
        {"width": 0, "height": "47"},
        {"width": 48, "height": 64},
    ],
    ids=str,
)
def test_stated_size_that_contradicts_the_picture_is_an_error(
    tmp_path: Path, size: dict[str, object]
) -> None:
    files = {"train.json": document(images=[{**A, **size}])}
    written(tmp_path, files, "a.png")
    findings = open_dataset(tmp_path).findings
    [error] = [f for f in findings if f.level is Level.ERROR]
    assert error.kind is FindingKind.WRONG_SIZE
    assert "its boxes lie elsewhere" in error.why


def test_stated_size_that_contradicts_a_good_part_is_an_error(tmp_path: Path) -> None:
    images = [A, {**B, "width": 640, "height": 400}]
    written(tmp_path, {"train.json": document(images=images)}, "a.png", "b.png")
    findings = open_dataset(tmp_path).findings
    [error] = [f for f in findings if f.level is Level.ERROR]
    assert "it may be another photo" in error.why


@pytest.mark.parametrize("side", ["wide", -64, 64.5, True, [64], math.nan])
def test_size_that_is_no_number_of_pixels_is_an_error(
    tmp_path: Path, side: object
) -> None:
    images = [{**A, "width": side, "height": 48}]
    annotations = annotations_of(tmp_path, document(images=images))
    [why] = whys(annotations)
    assert why.startswith("width is ")
    assert "expected whole numbers" in why


SQUARE = [[2, 3, 12, 3, 12, 9, 2, 9]]


@pytest.mark.parametrize("box", [None, [], [0, 0, 0, 0]], ids=str)
def test_polygon_without_a_box_becomes_its_bounding_box(
    tmp_path: Path, box: object
) -> None:
    boxes = [entry(bbox=box, segmentation=[*SQUARE, [1, 1, 3, 1, 3, 3]])]
    annotations = annotations_of(tmp_path, document(annotations=boxes))
    [[photo]] = annotations.splits.values()
    assert photo.rows[0].box == (1, 1, 12, 9)
    [why] = whys(annotations, Level.WARNING)
    assert why.startswith("polygon, 1 time")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"bbox": None}, "it has no bbox."),
        ({"bbox": None, "keypoints": [1, 2, 2]}, "it has no bbox, only keypoints."),
        (
            {"bbox": [], "segmentation": {"counts": [1, 2], "size": [4, 5]}},
            "it has no bbox, only a mask.",
        ),
        (
            {"bbox": [1, 2, 3, 4, 30]},
            "bbox is [1, 2, 3, 4, 30]: a turned box, COCO has upright ones.",
        ),
        (
            {"bbox": [40, 40, 5, 5], "segmentation": SQUARE},
            "bbox [40, 40, 5, 5] and segmentation lie in different places.",
        ),
    ],
    ids=["nothing", "keypoints", "mask", "turned", "contradiction"],
)
def test_annotation_without_a_box_is_an_error(
    tmp_path: Path, changes: dict[str, object], why: str
) -> None:
    boxes = [entry(**changes)]
    assert whys(annotations_of(tmp_path, document(annotations=boxes))) == [why]


def test_numbers_of_a_box_may_be_texts(tmp_path: Path) -> None:
    boxes = [entry(bbox=["1", "2.0", "3", "4"])]
    [[photo]] = annotations_of(tmp_path, document(annotations=boxes)).splits.values()
    assert photo.rows[0].box == (1, 2, 4, 6)


def test_box_that_was_turned_in_cvat_becomes_its_bounding_box(tmp_path: Path) -> None:
    attributes = {"occluded": False, "rotation": 90.0}
    boxes = [entry(bbox=[10, 10, 20, 4], attributes=attributes)]
    annotations = annotations_of(tmp_path, document(annotations=boxes))
    [[photo]] = annotations.splits.values()
    assert photo.rows[0].box == pytest.approx((18, 2, 22, 22))
    assert whys(annotations, Level.WARNING)[0].startswith("turned box, 1 time")


@pytest.mark.parametrize("mark", ["iscrowd", "ignore", "score"])
def test_marked_boxes_count_with_a_warning(tmp_path: Path, mark: str) -> None:
    boxes = [entry(**{mark: 1}), entry(id=8, bbox=[5, 5, 9, 9], **{mark: 0})]
    annotations = annotations_of(tmp_path, document(annotations=boxes))
    [[photo]] = annotations.splits.values()
    assert len(photo.rows) == 2
    [warning] = annotations.findings
    assert (warning.place, mark in warning.why) == ("annotation 7", True)


def test_boxes_in_shares_of_the_photo_are_refused(tmp_path: Path) -> None:
    boxes = [entry(bbox=[0.1, 0.2, 0.5, 0.5]), entry(id=8, bbox=[0, 0, 1, 1])]
    text = refusal(tmp_path, document(annotations=boxes))
    assert "train.json: boxes are shares of the photo, not pixels." in text
    assert "2 boxes, and no number in them exceeds 1." in text


@pytest.mark.parametrize("size", [{}, {"width": 64, "height": 48}], ids=["", "stated"])
def test_corners_in_the_place_of_sides_are_refused(
    tmp_path: Path, size: dict[str, int]
) -> None:
    boxes = [[2, 3, 20, 30], [30, 20, 50, 40], [40, 5, 63, 44]]
    content = document(
        images=[A | size],
        annotations=[entry(id=i, bbox=box) for i, box in enumerate(boxes)],
    )
    text = refusal(tmp_path, content)
    assert "train.json: boxes are corners, x1, y1, x2, y2." in text
    assert "2 of 3 boxes reach outside their photo as x, y, width, height" in text


def test_large_boxes_are_not_taken_for_corners(tmp_path: Path) -> None:
    boxes = [[2, 3, 60, 44], [5, 5, 58, 42], [1, 1, 70, 40]]
    content = document(
        annotations=[entry(id=i, bbox=box) for i, box in enumerate(boxes)]
    )
    [[photo]] = annotations_of(tmp_path, content).splits.values()
    assert len(photo.rows) == 3


def test_good_parts_beside_annotations_of_unknown_images_are_unclear(
    tmp_path: Path,
) -> None:
    content = document(images=[A, B], annotations=[entry(), entry(id=8, image_id=9)])
    annotations = written(tmp_path, {"train.json": content}, "a.png", "b.png")
    reason = "unclear annotations of train.json name images that it does not list"
    assert states(annotations) == {"a.png": "labelled", "b.png": reason}


def test_image_that_was_searched_for_some_classes_only_is_unclear(
    tmp_path: Path,
) -> None:
    bar = {"id": 2, "name": "bar"}
    images = [A, {**B, "neg_category_ids": [1]}]
    images.append({"id": 3, "file_name": "c.png", "neg_category_ids": [1, 2]})
    content = document(images=images, categories=[DOT, bar])
    pictures = "a.png", "b.png", "c.png"
    annotations = written(tmp_path, {"train.json": content}, *pictures)
    reason = "unclear it was not searched for all classes (neg_category_ids)"
    assert states(annotations)["b.png"] == reason
    assert states(annotations)["c.png"] == "labelled"


def test_file_without_any_annotation_is_a_warning(tmp_path: Path) -> None:
    annotations = annotations_of(tmp_path, document(annotations=[]))
    why = "no annotation at all: 1 image without a box count as good parts."
    assert whys(annotations, Level.WARNING) == [why]


@pytest.mark.parametrize(
    "entry_of_kind", [{"caption": "a dent"}, {"segments_info": []}], ids=str
)
def test_coco_files_without_boxes_are_not_read(
    entry_of_kind: dict[str, object],
) -> None:
    content = {"images": [A], "annotations": [{"image_id": 1, **entry_of_kind}]}
    assert not is_coco(JsonFile(Path("train.json"), content))


@pytest.mark.parametrize(
    ("size", "errors", "stated"),
    [
        ({"width": 64, "height": 48}, 1, (64, 48)),
        ({"width": 30}, 0, (30, 0)),
        ({}, 0, (30, 40)),
    ],
    ids=["other", "one side", "not stated"],
)
def test_size_of_a_mask_is_a_statement_about_the_picture(
    tmp_path: Path, size: dict[str, int], errors: int, stated: tuple[int, int]
) -> None:
    mask = {"counts": "x", "size": [40, 30]}
    content = document(images=[A | size], annotations=[entry(segmentation=mask)])
    annotations = annotations_of(tmp_path, content)
    found = whys(annotations)
    assert len(found) == errors
    assert all("its mask has the size [40, 30]" in why for why in found)
    [[photo]] = annotations.splits.values()
    assert photo.stated_size_px == stated


def test_picture_in_the_files_of_two_splits_is_an_error_with_both_named(
    tmp_path: Path,
) -> None:
    files = {"train.json": document(), "all.json": document()}
    written(tmp_path, files, "a.png")
    [error] = check_dataset(tmp_path, trains=False).errors
    assert error.kind is FindingKind.SAME_IN_TWO_SPLITS
    assert "a.png, which all.json and train.json list, in all" in error.why


def test_missing_picture_is_not_replaced_where_no_place_is_stated(
    tmp_path: Path,
) -> None:
    images = [A, B, {"id": 3, "file_name": "c.png"}]
    content = {"train.json": document(images=images)}
    pictures = "photos/a.png", "photos/b.png", "trash/c.png"
    *found, lost = written(tmp_path, content, *pictures).splits["train"]
    assert [photo.path.parent.name for photo in found] == ["photos", "photos"]
    assert "'c.png' is not there. trash/c.png has the same name" in lost.fault
