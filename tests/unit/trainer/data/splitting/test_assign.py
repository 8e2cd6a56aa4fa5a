"""Which photos are measured on: always some with a defect, or a clear error."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.errors import DatasetError
from tests.simulators.photos import plate, write_coco, write_json
from trainer.data.checks.check import check_dataset
from trainer.data.dataset import Dataset, Photo, open_dataset
from trainer.data.splitting.split_record import SplitOptions


def subsets(dataset: Dataset) -> tuple[tuple[Photo, ...], tuple[Photo, ...]]:
    """Return the two subsets of a training, disjoint."""
    pool, held_out = dataset.for_training()
    assert not {p.sha256 for p in pool} & {p.sha256 for p in held_out}
    return pool, held_out


def defective(photos: tuple[Photo, ...]) -> int:
    return sum(not photo.is_good for photo in photos)


@pytest.mark.parametrize("good", [1, 2, 4, 40])
def test_good_photos_without_val_do_not_make_a_val_without_defects(
    tmp_path: Path, good: int
) -> None:
    dataset = open_dataset(write_coco(tmp_path / "d", {"train": 10}, good=good))
    pool, held_out = subsets(dataset)
    assert defective(pool) + defective(held_out) == 10
    assert 2 <= defective(held_out) <= 3
    assert len(pool) + len(held_out) == 10 + good


def test_evaluation_measures_on_the_photos_that_training_held_out(
    tmp_path: Path,
) -> None:
    dataset = open_dataset(write_coco(tmp_path / "d", {"train": 10}, good=4))
    assert dataset.split(None) == ("val", subsets(dataset)[1])


@pytest.mark.parametrize("good", [0, 1, 4])
def test_val_without_photos_is_reported_and_a_fifth_is_held_out(
    tmp_path: Path, good: int
) -> None:
    root = write_coco(tmp_path / "d", {"train": 10}, good=good)
    write_json(root / "val.json", [], [])
    report = check_dataset(root)
    pool, held_out = subsets(report.dataset)
    assert 2 <= defective(held_out) <= 3
    assert defective(pool) >= 7
    assert not report.errors
    assert "split val" in [finding.place for finding in report.findings]


def test_empty_val_folder_of_yolo_is_reported_and_a_fifth_is_held_out(
    tmp_path: Path,
) -> None:
    root = tmp_path / "d"
    for name in ("images/train", "images/val", "labels/train", "labels/val"):
        (root / name).mkdir(parents=True)
    (root / "classes.txt").write_text("dot\n", encoding="utf-8")
    for number in range(5):
        picture = plate(np.random.default_rng(number))
        cv2.imwrite(str(root / f"images/train/{number}.png"), picture)
        row = root / f"labels/train/{number}.txt"
        row.write_text("0 0.5 0.5 0.2 0.2\n", encoding="utf-8")
    report = check_dataset(root)
    assert "split val" in [finding.place for finding in report.findings]
    assert [len(side) for side in subsets(report.dataset)] == [4, 1]


def test_val_of_good_photos_gets_every_fifth_defective_one(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "d", {"train": 10, "val": 4})
    document = json.loads((root / "val.json").read_text(encoding="utf-8"))
    write_json(root / "val.json", document["images"], [])
    report = check_dataset(root)
    pool, held_out = subsets(report.dataset)
    assert (len(pool), len(held_out), defective(held_out)) == (8, 6, 2)
    assert any("none with a labelled defect" in f.why for f in report.findings)


@pytest.mark.parametrize("good", [0, 1, 4])
def test_single_defect_is_refused_before_training(tmp_path: Path, good: int) -> None:
    dataset = open_dataset(write_coco(tmp_path / "d", {"train": 1}, good=good))
    with pytest.raises(DatasetError, match="no defect to") as caught:
        dataset.for_training()
    assert "both need at least one" in caught.value.why


def test_train_without_defects_is_refused_with_that_reason(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "d")
    document = json.loads((root / "train.json").read_text(encoding="utf-8"))
    write_json(root / "train.json", document["images"], [])
    with pytest.raises(DatasetError, match="no defect to train on") as caught:
        open_dataset(root).for_training()
    assert "0 photos with a labelled defect to train on, 4" in caught.value.why


def test_few_defects_among_many_good_photos_reach_both_subsets(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "d", {"all": 20})
    document = json.loads((root / "all.json").read_text(encoding="utf-8"))
    rows = [row for row in document["annotations"] if row["image_id"] in (0, 1)]
    write_json(root / "all.json", document["images"], rows)
    pool, held_out = subsets(open_dataset(root))
    assert (defective(pool), defective(held_out)) == (1, 1)


def test_one_photo_many_times_is_not_in_both_subsets(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "d", {"train": 10})
    content = (root / "images/train-0.png").read_bytes()
    for number in range(1, 6):
        (root / f"images/train-{number}.png").write_bytes(content)
    assert sum(len(side) for side in subsets(open_dataset(root))) == 10


def test_valid_json_is_the_val_split(tmp_path: Path) -> None:
    dataset = open_dataset(write_coco(tmp_path / "d", {"train": 6, "valid": 4}))
    assert list(dataset.splits) == ["train", "val"]
    assert [len(side) for side in subsets(dataset)] == [6, 4]


def test_roboflow_folders_are_splits(tmp_path: Path) -> None:
    source = write_coco(tmp_path / "source", {"train": 6, "valid": 4, "test": 2})
    for split in ("train", "valid", "test"):
        folder = tmp_path / "d" / split
        folder.mkdir(parents=True)
        document = json.loads((source / f"{split}.json").read_text(encoding="utf-8"))
        for image in document["images"]:
            picture = source / image["file_name"]
            image["file_name"] = picture.name
            (folder / picture.name).write_bytes(picture.read_bytes())
        path = folder / "_annotations.coco.json"
        write_json(path, document["images"], document["annotations"])
    dataset = open_dataset(tmp_path / "d")
    found = {name: len(photos) for name, photos in dataset.splits.items()}
    assert found == {"train": 6, "val": 4, "test": 2}


def good_only(root: Path, parts: int, shots: int) -> Path:
    """Write photos of good parts, some shots of each that differ by a few pixels."""
    (root / "good").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for part in range(parts):
        coarse = rng.integers(0, 256, (8, 8), np.uint8)
        picture = cv2.resize(coarse, (96, 96), interpolation=cv2.INTER_CUBIC)
        for shot in range(shots):
            moved = np.roll(picture, 2 * shot, axis=1)
            cv2.imwrite(str(root / "good" / f"{part}-{shot}.png"), moved)
    return root


def test_shots_of_a_good_part_are_on_one_side_where_nothing_is_labelled(
    tmp_path: Path,
) -> None:
    dataset = open_dataset(good_only(tmp_path / "d", 30, 3))
    pool, held_out = subsets(dataset)
    parts = dataset.split_assignment.parts_of([*pool, *held_out])
    assert len(set(parts.values())) == 30
    trained = {photo.path.name.split("-")[0] for photo in pool}
    measured = {photo.path.name.split("-")[0] for photo in held_out}
    assert not trained & measured
    assert 0.1 <= len(measured) / 30 <= 0.4


def test_copies_of_few_good_parts_are_too_few(tmp_path: Path) -> None:
    root = tmp_path / "d"
    (root / "good").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for part in range(4):
        picture = plate(rng, 64)
        for copy in range(10):
            cv2.imwrite(str(root / "good" / f"{part}-{copy}.png"), picture)
    with pytest.raises(DatasetError, match="4 photos of good parts") as caught:
        open_dataset(root).for_training()
    assert "26 more photos" in caught.value.fix


def test_good_parts_of_one_group_cannot_be_divided(tmp_path: Path) -> None:
    root = good_only(tmp_path / "d", 32, 1)
    dataset = open_dataset(root, split=SplitOptions(pattern="(good)/"))
    with pytest.raises(DatasetError, match="no good part to") as caught:
        dataset.for_training()
    assert "--group" in caught.value.fix
