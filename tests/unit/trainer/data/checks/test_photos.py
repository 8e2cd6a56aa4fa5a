"""Photos of one part in two splits are reported; files without a pair are not."""

import json
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.pictures import read_picture
from tests.simulators.frames import write_frames
from tests.simulators.photos import annotation, write_coco
from trainer.data.checks.check import check_dataset
from trainer.data.checks.photos import (
    copies_of,
    groups_of_pattern,
    labelled_alike,
    near_duplicates_across_splits,
)
from trainer.data.checks.repaired_copy import write_repaired_copy
from trainer.data.dataset import open_dataset
from trainer.data.findings import Finding, FindingKind, Level
from trainer.data.splitting.split_record import SplitOptions


def with_a_second_shot(root: Path, first: str, second: str) -> None:
    """Replace a photo by another shot of the part of the first."""
    picture = cv2.imread(str(root / "images" / first))
    cv2.imwrite(str(root / "images" / second), picture + np.uint8(1))


def test_shots_of_one_part_in_train_and_val_are_reported(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "d")
    assert not near_duplicates_across_splits(open_dataset(root))
    with_a_second_shot(root, "train-0.png", "val-0.png")
    [finding] = near_duplicates_across_splits(open_dataset(root))
    assert (finding.file.name, finding.place) == ("val-0.png", "val")
    assert "train-0.png in train" in finding.why


def test_groups_that_the_own_splits_tear_are_reported_and_good_parts_still_train(
    tmp_path: Path,
) -> None:
    root = write_coco(tmp_path / "d", good=8)
    options = SplitOptions(pattern=r"(\d)\.png")  # train-0, val-0 and good/0, ...
    dataset = open_dataset(root, split=options)
    finding, *others = groups_of_pattern(dataset)
    assert "groups of --group are in both splits" in finding.why
    assert not others
    assert sum(photo.is_good for photo in dataset.splits["train"]) == 4
    assert sum(photo.is_good for photo in dataset.splits["val"]) == 4


def test_photos_that_no_group_names_are_reported(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "d", {"all": 10}, good=3)
    options = SplitOptions(pattern=r"all-(\d)\.png")
    (finding,) = groups_of_pattern(open_dataset(root, split=options))
    assert "3 photos are in no group of --group, such as 0.png" in finding.why
    assert not groups_of_pattern(open_dataset(root))


def test_each_picture_is_its_own_copy_and_labelled_like_itself(tmp_path: Path) -> None:
    dataset = open_dataset(write_coco(tmp_path / "d"))
    assert not list(copies_of(dataset))
    one, two, both = dataset.splits["train"][:3]
    assert labelled_alike(both, both)
    assert not labelled_alike(one, two)
    assert not labelled_alike(one, both)


def saved_again(path: Path, name: str) -> Path:
    """Write the pixels of a picture to another file, and return that."""
    copy = path.parent / name
    copy.parent.mkdir(exist_ok=True)
    assert cv2.imwrite(str(copy), cv2.imread(str(path)))
    return copy


def kinds_of(root: Path) -> dict[FindingKind, list[Finding]]:
    return check_dataset(root).by_kind


@pytest.mark.parametrize("name", ["copy.bmp", "copy.tif", "copy.png"])
def test_copy_in_another_format_without_its_boxes_contradicts_them(
    tmp_path: Path, name: str
) -> None:
    root = write_coco(tmp_path / "d")
    saved_again(root / "images" / "train-0.png", f"../good/{name}")
    [finding] = kinds_of(root)[FindingKind.CONTRADICTION]
    assert finding.level is Level.ERROR
    assert "train-0.png" in f"{finding.file.name} {finding.why}"
    assert name in f"{finding.file.name} {finding.why}"


def test_same_pixels_in_train_and_val_are_an_error_in_whatever_file(
    tmp_path: Path,
) -> None:
    root = write_coco(tmp_path / "d")
    picture = cv2.imread(str(root / "images" / "train-0.png"))
    settings = [cv2.IMWRITE_PNG_COMPRESSION, 0]
    cv2.imwrite(str(root / "images" / "val-0.png"), picture, settings)
    for name in ("train", "val"):
        document = json.loads((root / f"{name}.json").read_text())
        document["annotations"] = [
            {**annotation(number, image["id"], 0, [5, 5, 20, 20])}
            for number, image in enumerate(document["images"])
        ]
        (root / f"{name}.json").write_text(json.dumps(document))
    [finding] = kinds_of(root)[FindingKind.SAME_IN_TWO_SPLITS]
    assert finding.level is Level.ERROR


def test_photo_turned_by_exif_is_the_turned_picture(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "d")
    picture = cv2.imread(str(root / "images" / "train-0.png"))
    content = cv2.imencode(".png", np.rot90(picture))[1].tobytes()
    exif = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    chunk = b"eXIf" + exif
    length, check = len(exif).to_bytes(4, "big"), zlib.crc32(chunk).to_bytes(4, "big")
    turned = content[:33] + length + chunk + check + content[33:]
    (root / "good").mkdir()
    (root / "good" / "turned.png").write_bytes(turned)
    assert (read_picture(root / "good" / "turned.png") == picture).all()
    assert FindingKind.CONTRADICTION in kinds_of(root)


def test_copies_in_two_formats_are_held_out_together(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "d", {"train": 20})
    document = json.loads((root / "train.json").read_text())
    for image in list(document["images"]):
        copy = saved_again(root / image["file_name"], f"{image['id']}.bmp")
        number = 1000 + image["id"]
        document["images"].append({"id": number, "file_name": f"images/{copy.name}"})
        document["annotations"] += [
            {**one, "id": 1000 + one["id"], "image_id": number}
            for one in document["annotations"]
            if one["image_id"] == image["id"]
        ]
    (root / "train.json").write_text(json.dumps(document))
    trained, held_out = open_dataset(root).for_training()
    assert len(trained) + len(held_out) == 40
    assert not {p.content for p in trained} & {p.content for p in held_out}


def test_repaired_copy_keeps_one_of_two_formats(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "d", good=2)
    saved_again(root / "good" / "0.png", "0.bmp")
    assert FindingKind.DUPLICATE_PHOTO in kinds_of(root)
    copy = write_repaired_copy(check_dataset(root), tmp_path / "copy")
    assert FindingKind.DUPLICATE_PHOTO not in copy.report.by_kind
    assert copy.report.dataset.photo_count == 12


def test_saved_jpeg_of_a_labelled_photo_among_good_ones_is_a_warning(
    tmp_path: Path,
) -> None:
    root = write_frames(tmp_path / "d", {"train": [0, 1, 2], "val": [3, 4]}, [5, 6])
    picture = cv2.imread(str(root / "images" / "train-0-0.png"))
    cv2.imwrite(str(root / "good" / "saved.jpg"), picture)
    report = check_dataset(root)
    [finding] = report.by_kind[FindingKind.NEAR_CONTRADICTION]
    assert finding.level is Level.WARNING
    assert finding.file.name == "saved.jpg"
    assert "images/train-0-0.png" in finding.why
    assert "1 box (dot); this one has no boxes" in finding.why


def test_good_part_on_the_jig_of_a_defective_one_is_no_finding(tmp_path: Path) -> None:
    root = write_frames(tmp_path / "d", {"train": [0, 1], "val": [2, 3]}, [0, 1, 2, 3])
    assert FindingKind.NEAR_CONTRADICTION not in kinds_of(root)


@pytest.mark.parametrize(
    "splits",
    [{"all": [0] * 8}, {"train": [0] * 8}, {"train": [0] * 6, "val": [0] * 2}],
    ids=["one folder", "train alone", "train and val"],
)
def test_frames_of_one_part_alone_are_a_finding(
    tmp_path: Path, splits: dict[str, list[int]]
) -> None:
    report = check_dataset(write_frames(tmp_path / "d", splits))
    [finding] = report.by_kind[FindingKind.ONE_PART]
    assert finding.why == (
        "all 8 photos with a defect show one part: they differ by the camera's noise "
        "only. Not measured: mAP, recall and escapes."
    )
    assert not report.errors


def test_val_of_trained_parts_alone_is_a_finding(tmp_path: Path) -> None:
    splits = {"train": [0, 0, 1, 1, 2], "val": [0, 1]}
    report = check_dataset(write_frames(tmp_path / "d", splits))
    [finding] = report.by_kind[FindingKind.ONE_PART]
    assert finding.why.startswith("the 2 photos with a defect to measure on are frames")


def test_frames_of_one_good_part_are_a_finding_and_count_once(tmp_path: Path) -> None:
    splits = {"train": [0, 1, 2], "val": [3, 4]}
    report = check_dataset(write_frames(tmp_path / "d", splits, good=[5] * 6))
    [finding] = report.by_kind[FindingKind.ONE_PART]
    assert finding.why.startswith("all 6 photos of good parts show one part")


def test_parts_with_one_new_part_in_val_are_no_finding(tmp_path: Path) -> None:
    splits = {"train": [0, 0, 1, 1], "val": [0, 2]}
    root = write_frames(tmp_path / "d", splits, good=[5, 6, 7, 8])
    assert FindingKind.ONE_PART not in kinds_of(root)
