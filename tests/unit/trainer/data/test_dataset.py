"""Datasets: formats, good parts, splits, and what is wrong with them."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.errors import DatasetError
from tests.simulators.photos import annotation, plate, write_coco, write_json
from tests.simulators.picture_files import with_thumbnail
from trainer.data.checks.check import check_dataset, faultless_dataset
from trainer.data.dataset import open_dataset
from trainer.data.findings import FindingKind, Level
from trainer.data.splitting.split_record import SplitOptions, UnlabelledUse


def one_photo(root: Path, boxes: list[list[float]], size_px: int = 64) -> Path:
    """Write a dataset of one photo with these boxes (x, y, width, height)."""
    root.mkdir()
    cv2.imwrite(str(root / "a.png"), plate(np.random.default_rng(0), size_px))
    rows = [annotation(i, 0, 0, box) for i, box in enumerate(boxes)]
    write_json(root / "train.json", [{"id": 0, "file_name": "a.png"}], rows)
    return root


def test_coco_boxes_become_corners_in_pixels(tmp_path: Path) -> None:
    dataset = open_dataset(one_photo(tmp_path / "d", [[10, 20, 5, 6]]))
    photo = dataset.splits["train"][0]
    assert photo.boxes.tolist() == [[10, 20, 15, 26]]
    assert dataset.labels[photo.labels[0]] == "dot"


def test_image_paths_are_also_searched_below_images(tmp_path: Path) -> None:
    root = one_photo(tmp_path / "d", [[1, 1, 5, 5]])
    (root / "images").mkdir()
    (root / "a.png").rename(root / "images" / "a.png")
    assert open_dataset(root).photo_count == 1


def test_good_photos_are_divided_by_sorted_hash(tmp_path: Path) -> None:
    dataset = open_dataset(write_coco(tmp_path / "d", good=5))
    good = {
        name: [photo.sha256 for photo in photos if photo.is_good]
        for name, photos in dataset.splits.items()
    }
    assert (len(good["train"]), len(good["val"])) == (3, 2)
    ordered = sorted(good["train"] + good["val"])
    assert good["train"] == ordered[0::2]
    assert good["val"] == ordered[1::2]


def test_without_train_split_all_good_photos_are_measured_on(tmp_path: Path) -> None:
    dataset = open_dataset(write_coco(tmp_path / "d", {"val": 3}, good=4))
    assert sum(photo.is_good for photo in dataset.splits["val"]) == 4


def test_without_val_split_a_fifth_is_held_out_and_not_trained_on(
    tmp_path: Path,
) -> None:
    dataset = open_dataset(write_coco(tmp_path / "d", {"train": 10}))
    pool, held_out = dataset.for_training()
    assert (len(pool), len(held_out)) == (8, 2)
    assert not {p.sha256 for p in pool} & {p.sha256 for p in held_out}


def test_named_split_that_is_not_there_is_refused(tmp_path: Path) -> None:
    dataset = open_dataset(write_coco(tmp_path / "d"))
    with pytest.raises(DatasetError, match="no split 'test'"):
        dataset.split("test")


def test_default_split_is_val_else_everything(tmp_path: Path) -> None:
    assert open_dataset(write_coco(tmp_path / "a")).split(None)[0] == "val"
    alone = open_dataset(write_coco(tmp_path / "b", {"train": 2}))
    assert alone.split(None)[0] == "all"


def test_yolo_with_data_yaml(tmp_path: Path) -> None:
    root = tmp_path / "y"
    for name in ("images/train", "labels/train"):
        (root / name).mkdir(parents=True)
    for name in ("a", "empty", "no-file"):
        picture = plate(np.random.default_rng(len(name)))
        cv2.imwrite(str(root / "images/train" / f"{name}.png"), picture)
    (root / "labels/train/a.txt").write_text("1 0.5 0.5 0.25 0.5\n", encoding="utf-8")
    (root / "labels/train/empty.txt").write_text("", encoding="utf-8")
    (root / "data.yaml").write_text(
        "train: images/train\nnames: {0: dot, 1: bar}\n", encoding="utf-8"
    )
    dataset = open_dataset(root)
    photos = dataset.splits["train"]
    assert [photo.is_good for photo in photos] == [False, True]
    assert [photo.path.name for photo in dataset.unlabelled] == ["no-file.png"]
    assert photos[0].boxes.tolist() == [[24, 16, 40, 48]]
    assert photos[0].labels.tolist() == [1]


def test_real_exports_are_read(shared: Path) -> None:
    formats = shared / "data" / "formats"
    wagons = open_dataset(formats / "roboflow-coco" / "valid")
    assert wagons.labels == ("gunny_bag", "wire")  # without the dummy category
    mixed = open_dataset(formats / "yolo-mixed")
    assert mixed.photo_count == 7


def test_exif_orientation_is_honoured(tmp_path: Path) -> None:
    root = one_photo(tmp_path / "d", [[1, 1, 5, 5]])
    tall = np.zeros((40, 20, 3), np.uint8)
    data = cv2.imencode(".jpg", tall)[1].tobytes()
    # APP1 segment with one EXIF entry: orientation 6, turned by a quarter
    exif = bytes.fromhex(
        "45786966000049492a0008000000010012010300010000000600000000000000"
    )
    segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    (root / "a.png").write_bytes(data[:2] + segment + data[2:])
    photo = open_dataset(root).splits["train"][0]
    assert (photo.width_px, photo.height_px) == (40, 20)


def state_size(root: Path, width: object, height: object) -> None:
    """Write into the JSON the size of its photo."""
    document = json.loads((root / "train.json").read_text(encoding="utf-8"))
    document["images"][0] |= {"width": width, "height": height}
    (root / "train.json").write_text(json.dumps(document), encoding="utf-8")


def test_labels_of_a_photo_of_another_size_are_an_error(tmp_path: Path) -> None:
    root = one_photo(tmp_path / "d", [[1, 1, 9, 9]])
    state_size(root, 640, 480)
    [error] = check_dataset(root, trains=False).errors
    assert "64 x 64" in error.why
    assert "640 x 480" in error.why
    assert "EXIF" not in error.why


def test_labels_of_a_photo_that_was_turned_later_are_an_error(tmp_path: Path) -> None:
    root = one_photo(tmp_path / "d", [[1, 1, 9, 9]])
    wide = np.zeros((40, 20, 3), np.uint8)
    cv2.imwrite(str(root / "a.png"), wide)
    state_size(root, 40, 20)
    [error] = check_dataset(root, trains=False).errors
    assert "the photo was turned after it was labelled" in error.why
    assert "EXIF" not in error.why
    assert "20 x 40" in error.why


def test_labels_that_ignore_the_exif_orientation_are_an_error(tmp_path: Path) -> None:
    root = one_photo(tmp_path / "d", [[1, 1, 9, 9]])
    tall = cv2.imencode(".jpg", np.zeros((40, 20, 3), np.uint8))[1].tobytes()
    (root / "a.png").write_bytes(with_thumbnail(tall, orientation=6))
    state_size(root, 20, 40)
    [error] = check_dataset(root, trains=False).errors
    assert "the labels ignore the photo's EXIF orientation" in error.why


def test_photo_whose_boxes_were_refused_is_counted_as_no_good_part(
    tmp_path: Path,
) -> None:
    root = one_photo(tmp_path / "d", [[70, 70, 9, 9]])
    report = check_dataset(root)
    [error] = report.errors  # no second one that no defect is labelled
    assert "is outside the photo" in error.why
    assert report.as_json()["splits"] == {
        "train": {"images": 1, "good_images": 0, "boxes": 0}
    }


def test_photo_that_is_nowhere_is_named_with_its_label_file(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "d")
    document = json.loads((root / "train.json").read_text(encoding="utf-8"))
    document["images"][0]["file_name"] = "nowhere.png"
    (root / "train.json").write_text(json.dumps(document), encoding="utf-8")
    [error] = check_dataset(root).errors
    assert error.why.startswith("there is no such photo; train.json (image ")


@pytest.mark.parametrize("size", [(64, 64), (None, None), (0, 0), ("64", "64")])
def test_size_that_is_right_or_not_stated_is_fine(
    tmp_path: Path, size: tuple[object, object]
) -> None:
    root = one_photo(tmp_path / "d", [[1, 1, 9, 9]])
    state_size(root, *size)
    assert not check_dataset(root, trains=False).errors


@pytest.mark.parametrize(
    ("box", "why"),
    [
        ([200, 200, 9, 9], "outside the photo"),
        ([5, 5, 0, 9], "is empty"),
        ([5, 5, -3, 9], "is empty"),
    ],
)
def test_unusable_box_stops_training(
    tmp_path: Path, box: list[float], why: str
) -> None:
    root = one_photo(tmp_path / "d", [[1, 1, 9, 9], box])
    with pytest.raises(DatasetError) as caught:
        faultless_dataset(root, trains=True)
    assert why in caught.value.why
    assert "annotation 1" in caught.value.why


def test_dataset_with_too_few_defects_to_train_on_is_an_error_of_check_too(
    tmp_path: Path,
) -> None:
    root = one_photo(tmp_path / "d", [[50, 50, 30, 30]])
    [error] = check_dataset(root).errors
    assert "both need at least one" in error.why
    assert not check_dataset(root, trains=False).errors  # to measure with, it will do


def test_box_partly_outside_is_clipped_with_a_warning(tmp_path: Path) -> None:
    report = check_dataset(one_photo(tmp_path / "d", [[50, 50, 30, 30]]), trains=False)
    assert report.dataset.splits["train"][0].boxes.tolist() == [[50, 50, 64, 64]]
    assert "reaches outside" in report.findings[0].why
    assert not report.errors


def test_unknown_category_is_an_error(tmp_path: Path) -> None:
    root = one_photo(tmp_path / "d", [[1, 1, 9, 9]])
    document = json.loads((root / "train.json").read_text(encoding="utf-8"))
    document["annotations"][0]["category_id"] = 77
    (root / "train.json").write_text(json.dumps(document), encoding="utf-8")
    assert "77" in check_dataset(root).errors[0].why


@pytest.mark.parametrize("damage", ["text", "truncated", "missing"])
def test_unreadable_photo_is_an_error(tmp_path: Path, damage: str) -> None:
    root = write_coco(tmp_path / "d")
    photo = root / "images" / "train-0.jpg"
    cv2.imwrite(str(photo), plate(np.random.default_rng(1)))
    document = json.loads((root / "train.json").read_text(encoding="utf-8"))
    document["images"][0]["file_name"] = "images/train-0.jpg"
    (root / "train.json").write_text(json.dumps(document), encoding="utf-8")
    content = photo.read_bytes()
    match damage:
        case "text":
            photo.write_bytes(b"not a picture")
        case "truncated":
            photo.write_bytes(content[: len(content) // 2])
        case _:
            photo.unlink()
    errors = check_dataset(root).errors
    # A missing one is named by the label file: train-0.png is there.
    at_fault = "train.json" if damage == "missing" else "train-0.jpg"
    assert [error.file.name for error in errors] == [at_fault]


def test_photo_in_two_splits_is_an_error(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "d")
    content = (root / "images/train-0.png").read_bytes()
    (root / "images/val-0.png").write_bytes(content)
    assert any("same picture" in error.why for error in check_dataset(root).errors)


def test_labels_that_differ_by_case_are_an_error(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "d")
    document = json.loads((root / "val.json").read_text(encoding="utf-8"))
    document["categories"][0]["name"] = "Dot "
    (root / "val.json").write_text(json.dumps(document), encoding="utf-8")
    assert any("case or space" in error.why for error in check_dataset(root).errors)


@pytest.mark.parametrize("kind", ["missing", "empty", "pictures-only", "broken-json"])
def test_folder_that_is_no_dataset_is_refused(tmp_path: Path, kind: str) -> None:
    root = tmp_path / "d"
    if kind != "missing":
        root.mkdir()
    if kind == "pictures-only":
        cv2.imwrite(str(root / "a.png"), plate(np.random.default_rng(0)))
    if kind == "broken-json":
        (root / "train.json").write_text('{"images": [', encoding="utf-8")
    with pytest.raises(DatasetError) as caught:
        open_dataset(root)
    assert caught.value.fix


def test_dataset_without_a_box_cannot_be_trained_on(tmp_path: Path) -> None:
    dataset = open_dataset(one_photo(tmp_path / "d", []))
    with pytest.raises(DatasetError, match="no photo has a labelled defect"):
        dataset.for_training()


def test_hash_depends_on_labels_but_not_on_the_folder(tmp_path: Path) -> None:
    a = open_dataset(one_photo(tmp_path / "a", [[1, 1, 9, 9]]))
    b = open_dataset(one_photo(tmp_path / "b", [[1, 1, 9, 9]]))
    c = open_dataset(one_photo(tmp_path / "c", [[1, 1, 9, 8]]))
    assert a.sha256 == b.sha256 != c.sha256


def test_report_for_machines_counts_and_places(tmp_path: Path) -> None:
    report = check_dataset(one_photo(tmp_path / "d", [[99, 99, 9, 9]]))
    document = report.as_json()
    assert document["ok"] is False
    findings = document["findings"]
    assert isinstance(findings, list)
    assert findings[0]["level"] == Level.ERROR.value
    assert findings[0]["place"] == "annotation 0"


def with_unlisted(root: Path) -> Path:
    """Write a dataset with one picture that no label file lists."""
    write_coco(root)
    cv2.imwrite(str(root / "images" / "new.png"), plate(np.random.default_rng(9)))
    return root


def test_picture_that_no_label_file_lists_is_left_out_and_named(
    tmp_path: Path,
) -> None:
    dataset = open_dataset(with_unlisted(tmp_path / "d"))
    assert dataset.photo_count == 10
    assert [photo.path.name for photo in dataset.unlabelled] == ["new.png"]
    [found] = [f for f in dataset.findings if f.kind is FindingKind.UNLABELLED]
    assert (found.level, found.place) == (Level.WARNING, "new.png")
    assert found.why == (
        "1 photo left out, neither trained nor measured on: no label file lists it."
    )
    assert found.fix == "Label it; --unlabelled good takes it as a good part."


def test_unlabelled_photos_are_good_parts_where_the_user_asks_for_it(
    tmp_path: Path,
) -> None:
    root = with_unlisted(tmp_path / "d")
    left_out = open_dataset(root)
    dataset = open_dataset(root, split=SplitOptions(unlabelled=UnlabelledUse.GOOD))
    assert [p.path.name for p in dataset.photos if p.is_good] == ["new.png"]
    assert not dataset.unlabelled
    assert dataset.sha256 != left_out.sha256
    assert dataset.split_assignment.record.unlabelled is UnlabelledUse.GOOD
    [found] = [f for f in dataset.findings if f.kind is FindingKind.UNLABELLED]
    assert "taken as good parts, by --unlabelled good" in found.why
    assert found.fix == "Check that it shows no defect."


def test_damaged_picture_that_nothing_lists_does_not_stop_training(
    tmp_path: Path,
) -> None:
    root = write_coco(tmp_path / "d")
    (root / "images" / "notes.png").write_bytes(b"no picture")
    report = faultless_dataset(root, trains=True)
    [found] = [f for f in report.findings if f.kind is FindingKind.UNREADABLE_PHOTO]
    assert (found.file.name, found.level) == ("notes.png", Level.WARNING)


def test_check_counts_and_names_unlabelled_photos_as_json(tmp_path: Path) -> None:
    report = check_dataset(with_unlisted(tmp_path / "d"))
    assert report.as_json()["unlabelled"] == ["images/new.png"]


def with_bad(root: Path, count: int = 2) -> Path:
    """Add photos of defective parts without boxes to a dataset."""
    (root / "bad" / "lot 7").mkdir(parents=True)
    for number in range(count):
        picture = plate(np.random.default_rng(100 + number))
        cv2.imwrite(str(root / "bad" / "lot 7" / f"{number}.png"), picture)
    return root


def test_photos_of_bad_are_in_no_split_and_measured_with_each(tmp_path: Path) -> None:
    plain = open_dataset(write_coco(tmp_path / "d", good=2))
    dataset = open_dataset(with_bad(tmp_path / "d"))
    assert [photo.path.name for photo in dataset.bad] == ["0.png", "1.png"]
    assert not any(photo.is_good for photo in dataset.bad)
    assert dataset.sha256 == plain.sha256
    trained, held_out = ([p.sha256 for p in part] for part in dataset.for_training())
    assert [p.sha256 for p in plain.for_training()[0]] == trained
    assert [p.sha256 for p in plain.for_training()[1]] == held_out
    assert dataset.unlabelled == ()
    name, photos = dataset.measured(None)
    assert (name, len(photos)) == ("val", len(plain.splits["val"]) + 2)


def test_listed_photo_of_bad_without_a_box_is_no_good_part(tmp_path: Path) -> None:
    root = with_bad(write_coco(tmp_path / "d"))
    document = json.loads((root / "train.json").read_bytes())
    document["images"].append({"id": 99, "file_name": "bad/lot 7/0.png"})
    (root / "train.json").write_text(json.dumps(document))
    dataset = open_dataset(root)
    assert len(dataset.bad) == 2
    assert not any(photo.is_good for photo in dataset.photos)


def test_name_of_a_label_file_never_finds_a_namesake_in_bad(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "d", {"train": 2})
    (root / "bad").mkdir()
    (root / "images" / "train-0.png").rename(root / "bad" / "train-0.png")
    dataset = open_dataset(root)
    assert dataset.photo_count == 1
    [found] = [f for f in dataset.findings if f.level is Level.ERROR]
    assert "train-0.png" in str(found)


def test_same_picture_in_good_and_bad_is_an_error(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "d", good=2)
    (root / "bad").mkdir()
    (root / "bad" / "x.png").write_bytes((root / "good" / "0.png").read_bytes())
    [found] = check_dataset(root).errors
    assert "same picture as good/0.png, a good part" in found.why


def test_folder_of_bad_parts_alone_can_be_measured_on(tmp_path: Path) -> None:
    dataset = open_dataset(with_bad(tmp_path / "d"))
    assert dataset.measured(None) == ("all", dataset.bad)
    assert check_dataset(dataset.root, trains=False).errors == ()
