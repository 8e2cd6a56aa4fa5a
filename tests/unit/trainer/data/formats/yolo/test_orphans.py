"""YOLO: label files with boxes that belong to no photo."""

from pathlib import Path

import pytest

from tests.simulators.exports import (
    write_cvat_yolo,
    write_picture,
    write_text,
    write_yolo_export,
)
from tests.simulators.findings import errors_of, warnings_of
from trainer.data.dataset import open_dataset
from trainer.data.splitting.split_record import SplitOptions, UnlabelledUse

ROW = "0 0.25 0.5 0.25 0.5\n"


@pytest.mark.parametrize(
    "place",
    [
        "a.txt",  # one folder up
        "labels/train/a.txt",
        "labels/a.png.txt",
        "labels/a.jpg.txt",
        "labels/a_.txt",
        "labels/0123abcd-a.txt",  # Label Studio puts a number before
        "labels/other.txt",
    ],
)
def test_labels_without_photo_beside_a_photo_without_labels_are_an_error(
    tmp_path: Path, place: str
) -> None:
    root = write_yolo_export(tmp_path)
    (root / "labels" / "a.txt").unlink()
    write_text(root / place, ROW)
    [error] = errors_of(root)
    assert f"{place} and images/a.png" in error.why
    read = open_dataset(root)
    assert [p.path.name for p in read.photos] == ["b.png"]
    assert [p.path.name for p in read.unlabelled] == ["a.png"]


def test_name_with_a_special_letter_is_paired_with_its_label_file(
    tmp_path: Path,
) -> None:
    root = write_yolo_export(tmp_path)
    for name in ("a", "b"):
        (root / "labels" / f"{name}.txt").unlink()
        (root / "images" / f"{name}.png").rename(root / "images" / f"part#{name}.png")
    write_picture(root / "good" / "g.png", 9)
    write_text(root / "labels" / "part_b.txt", ROW)
    write_text(root / "labels" / "part_a.txt", ROW)
    [error] = errors_of(root)
    assert "2 label files with boxes belong to no photo" in error.why
    assert "labels/part_a.txt and images/part#a.png" in error.why
    assert "labels/part_b.txt and images/part#b.png" in error.why
    assert "rename part_a.txt to labels/part#a.txt" in error.fix


def test_label_file_alone_stays_a_warning(tmp_path: Path) -> None:
    root = write_yolo_export(tmp_path)
    write_text(root / "labels" / "lost.txt", ROW)
    write_text(root / "old" / "c.txt", ROW)
    assert not errors_of(root)
    [found] = [f for f in warnings_of(root) if "belong to no picture" in f.why]
    assert (found.place, found.why[:1]) == ("lost.txt; c.txt", "2")


def test_empty_label_file_without_photo_is_no_finding(tmp_path: Path) -> None:
    root = write_yolo_export(tmp_path)
    before = len(open_dataset(root).findings)
    write_text(root / "labels" / "lost.txt", "")
    assert len(open_dataset(root).findings) == before


def test_labels_of_a_picture_that_is_not_read_belong_to_no_other_photo(
    tmp_path: Path,
) -> None:
    root = write_yolo_export(tmp_path)
    (root / "labels" / "b.txt").unlink()
    write_text(root / "labels" / "phone.txt", ROW)
    write_text(root / "images" / "phone.heic", "x")
    assert not errors_of(root)
    assert [f.place for f in warnings_of(root) if "no picture" in f.why] == [
        "phone.txt"
    ]


def test_owner_may_not_be_taken_as_good(tmp_path: Path) -> None:
    root = write_yolo_export(tmp_path)
    (root / "labels" / "a.txt").rename(root / "labels" / "a.png.txt")
    reasons = [f.why for f in warnings_of(root) if "left out" in f.why]
    assert any("a label file of another name may be meant" in r for r in reasons)


@pytest.mark.parametrize(
    "place", ["good/g.txt", "labels/g.txt", "labels/good/g.txt", "g.png.txt"]
)
def test_photo_in_good_with_labels_is_a_contradiction(
    tmp_path: Path, place: str
) -> None:
    root = write_yolo_export(tmp_path)
    write_picture(root / "good" / "g.png", 9)
    write_text(root / place, ROW)
    [error] = errors_of(root)
    assert (error.file, error.photo) == (root / place, root / "good" / "g.png")
    assert "good/" in error.why
    assert [p.path.name for p in open_dataset(root).photos] == ["a.png", "b.png"]


def test_namesake_in_good_of_a_labelled_photo_is_no_contradiction(
    tmp_path: Path,
) -> None:
    root = write_yolo_export(tmp_path)
    write_picture(root / "good" / "a.png", 9)
    assert not errors_of(root)
    assert sorted(len(p.boxes) for p in open_dataset(root).photos) == [0, 0, 1]


def test_boxes_of_a_missing_photo_are_not_laid_on_its_namesake_in_good(
    tmp_path: Path,
) -> None:
    root = write_yolo_export(tmp_path)
    (root / "images" / "a.png").rename(root / "good.png")
    (root / "good").mkdir()
    (root / "good.png").rename(root / "good" / "a.png")
    [error] = errors_of(root)
    assert (error.file.name, error.photo) == ("a.txt", root / "good" / "a.png")
    assert [p.path.name for p in open_dataset(root).photos] == ["b.png"]


def test_empty_label_file_in_good_is_no_contradiction(tmp_path: Path) -> None:
    root = write_yolo_export(tmp_path)
    write_picture(root / "good" / "g.png", 9)
    write_text(root / "good" / "g.txt", "")
    assert not errors_of(root)
    assert len(open_dataset(root).photos) == 3


def test_split_that_names_good_takes_its_photos_as_good_parts(tmp_path: Path) -> None:
    root = write_yolo_export(tmp_path)
    write_picture(root / "good" / "g.png", 9)
    write_text(root / "data.yaml", "names: [dot]\ntrain: [images, good]\n")
    assert not errors_of(root)
    assert [p.path.name for p in open_dataset(root).splits["train"]] == [
        "a.png",
        "b.png",
        "g.png",
    ]
    write_text(root / "good" / "g.txt", ROW)
    [error] = errors_of(root)
    assert (error.file.name, error.photo) == ("g.txt", root / "good" / "g.png")


def test_unlabelled_photos_are_good_parts_on_request_only(tmp_path: Path) -> None:
    root = write_cvat_yolo(tmp_path)
    (root / "obj_train_data" / "b.txt").unlink()
    as_good = SplitOptions(unlabelled=UnlabelledUse.GOOD)
    assert [p.path.name for p in open_dataset(root).photos] == ["a.png"]
    assert [p.path.name for p in open_dataset(root, split=as_good).photos] == [
        "a.png",
        "b.png",
    ]


def test_photo_that_may_have_labels_is_no_good_part_on_request(tmp_path: Path) -> None:
    root = write_cvat_yolo(tmp_path)
    folder = root / "obj_train_data"
    (folder / "a.txt").rename(folder / "a.png.txt")
    write_picture(root / "extra" / "c.png", 7)
    as_good = SplitOptions(unlabelled=UnlabelledUse.GOOD)
    assert [p.path.name for p in open_dataset(root, split=as_good).photos] == ["b.png"]


def test_labels_without_photo_in_a_folder_of_another_case_are_an_error(
    tmp_path: Path,
) -> None:
    root = write_yolo_export(tmp_path)
    (root / "labels").rename(root / "Labels")
    (root / "Labels" / "a.txt").rename(root / "Labels" / "zzz.txt")
    [error] = errors_of(root)
    assert "Labels/zzz.txt and images/a.png" in error.why


def test_list_that_names_a_photo_of_good_takes_it_as_a_good_part(
    tmp_path: Path,
) -> None:
    root = write_cvat_yolo(tmp_path)
    write_picture(root / "good" / "g.png", 9)
    write_text(root / "train.txt", "obj_train_data/a.png\ngood/g.png\n")
    assert not errors_of(root)
    photos = open_dataset(root).splits["train"]
    assert [(p.path.name, len(p.boxes)) for p in photos] == [("a.png", 1), ("g.png", 0)]
    write_text(root / "good" / "g.txt", ROW)
    [error] = errors_of(root)
    assert (error.file.name, error.photo) == ("g.txt", root / "good" / "g.png")
    assert [p.path.name for p in open_dataset(root).photos] == ["a.png"]
