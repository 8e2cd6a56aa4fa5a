"""``check --fix``: the differences of the copy; the original stays."""

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.errors import DatasetError, TrainingError
from tests.simulators.flawed import write_flawed
from tests.simulators.photos import plate, write_coco
from trainer.data.checks.check import check_dataset
from trainer.data.checks.repaired_copy import RepairedCopy, write_repaired_copy
from trainer.data.findings import FindingKind, Level


def contents(root: Path) -> dict[str, str]:
    """Return every file's hash by its path."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> RepairedCopy:
    folder = tmp_path_factory.mktemp("repair")
    root = write_flawed(folder / "d")
    before = contents(root)
    made = write_repaired_copy(check_dataset(root), folder / "copy")
    assert contents(root) == before
    return made


def test_check_of_the_copy_reports_no_repaired_finding(copy: RepairedCopy) -> None:
    repaired = {repair.kind for repair in copy.repairs}
    assert repaired == {
        FindingKind.ANNOTATION,
        FindingKind.UNREADABLE_PHOTO,
        FindingKind.WRONG_SIZE,
        FindingKind.EMPTY_BOX,
        FindingKind.OUTSIDE_BOX,
        FindingKind.CLIPPED_BOX,
        FindingKind.DUPLICATE_BOX,
        FindingKind.SIMILAR_LABELS,
        FindingKind.DUPLICATE_PHOTO,
        FindingKind.CONTRADICTION,
        FindingKind.SAME_IN_TWO_SPLITS,
    }
    assert not repaired & set(copy.report.by_kind)
    assert not copy.report.errors


def test_what_needs_a_person_is_left_and_reported(copy: RepairedCopy) -> None:
    assert FindingKind.HUGE_BOX in copy.report.by_kind
    for_a_person = {repair.kind for repair in copy.repairs if repair.left}
    assert for_a_person == {
        FindingKind.ANNOTATION,
        FindingKind.UNREADABLE_PHOTO,
        FindingKind.WRONG_SIZE,
        FindingKind.EMPTY_BOX,
        FindingKind.OUTSIDE_BOX,
        FindingKind.CONTRADICTION,
    }


def test_photo_that_lost_all_its_boxes_does_not_become_a_good_part(
    copy: RepairedCopy,
) -> None:
    splits = copy.report.dataset.splits
    names = {p.path.name: p for photos in splits.values() for p in photos}
    gone = {"train-2.png", "train-10.png", "val-4.png", "val-5.png"}
    assert not gone & set(names)
    assert {"train-8.png", "train-9.png"}.isdisjoint(names)  # they contradict
    assert len(names["train-1.png"].labels) == 1  # it had another box
    good = {name for name, photo in names.items() if photo.is_good}
    assert good == {"0.png", "1.png", "2.png", "3.png"}


def test_picture_in_two_splits_stays_in_val(copy: RepairedCopy) -> None:
    splits = copy.report.dataset.splits
    assert "val-0.png" in {photo.path.name for photo in splits["val"]}
    assert "train-7.png" not in {photo.path.name for photo in splits["train"]}


def test_class_names_are_merged_to_the_most_used_spelling(copy: RepairedCopy) -> None:
    assert copy.report.dataset.labels == ("dot", "bar")


def test_copy_of_a_sound_dataset_is_the_same_dataset(tmp_path: Path) -> None:
    report = check_dataset(write_coco(tmp_path / "d", good=5))
    copy = write_repaired_copy(report, tmp_path / "copy")
    assert not copy.repairs
    assert copy.report.dataset.sha256 == report.dataset.sha256
    assert len(list((tmp_path / "copy" / "good").iterdir())) == 5


def test_photos_of_bad_parts_are_copied(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "d", good=5)
    (root / "bad").mkdir()
    picture = plate(np.random.default_rng(9), 64)
    cv2.imwrite(str(root / "bad" / "b.png"), picture)
    copy = write_repaired_copy(check_dataset(root), tmp_path / "copy")
    assert [photo.path.name for photo in copy.report.dataset.bad] == ["b.png"]


def test_pictures_of_one_name_in_two_folders_are_both_kept(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "d")
    document = json.loads((root / "val.json").read_text("utf-8"))
    (root / "images" / "val-0.png").rename(root / "train-0.png")
    document["images"][0]["file_name"] = "train-0.png"
    (root / "val.json").write_text(json.dumps(document), "utf-8")
    report = check_dataset(root)
    copy = write_repaired_copy(report, tmp_path / "copy")
    assert copy.report.dataset.sha256 == report.dataset.sha256


@pytest.mark.parametrize("place", ["full", "d/inside", "d"])
def test_folder_that_is_not_free_is_refused(tmp_path: Path, place: str) -> None:
    report = check_dataset(write_coco(tmp_path / "d"))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine", "utf-8")
    before = contents(tmp_path)
    with pytest.raises(TrainingError) as caught:
        write_repaired_copy(report, tmp_path / place)
    assert caught.value.fix
    assert contents(tmp_path) == before


def test_copy_without_photos_makes_no_folder(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "d", {"train": 1})
    document = json.loads((root / "train.json").read_text("utf-8"))
    document["annotations"][0]["bbox"] = [5, 5, 0, 0]
    (root / "train.json").write_text(json.dumps(document), "utf-8")
    report = check_dataset(root)
    assert any(f.level is Level.ERROR for f in report.findings)
    with pytest.raises(DatasetError, match="nothing is left"):
        write_repaired_copy(report, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_copy_that_fails_midway_leaves_nothing(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "d")
    report = check_dataset(root)
    (root / "images" / "val-3.png").unlink()
    with pytest.raises(TrainingError, match="cannot be written"):
        write_repaired_copy(report, tmp_path / "copy")
    assert [path.name for path in tmp_path.iterdir()] == ["d"]


def test_unlabelled_photos_are_copied_and_stay_unlabelled(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "d")
    copied = (root / "images" / "train-0.png").read_bytes()
    (root / "images" / "new.png").write_bytes(copied + b"x")
    made = write_repaired_copy(check_dataset(root), tmp_path / "copy")
    assert [p.path.name for p in made.report.dataset.unlabelled] == ["new.png"]
    [repair] = [r for r in made.repairs if r.kind is FindingKind.UNLABELLED]
    assert "no label file lists it" in repair.done


def test_picture_that_is_described_differently_is_not_in_the_copy(
    tmp_path: Path,
) -> None:
    root = write_coco(tmp_path / "d")
    document = json.loads((root / "train.json").read_text("utf-8"))
    first = document["images"][0]
    document["images"].append({**first, "id": 99})
    (root / "train.json").write_text(json.dumps(document), "utf-8")
    made = write_repaired_copy(check_dataset(root), tmp_path / "copy")
    names = [photo.path.name for photo in made.report.dataset.photos]
    assert first["file_name"].rpartition("/")[2] not in names
    [repair] = [r for r in made.repairs if r.kind is FindingKind.ANNOTATION]
    assert "described twice, and differently" in repair.done
    assert repair.done.endswith("It is not in the copy.")
    assert repair.left.startswith("Keep the record that is right")
