"""YOLO: lists, folders named by data.yaml, CVAT's YOLO 1.1, outlines."""

from pathlib import Path

import pytest

from models.errors import DatasetError
from tests.simulators.exports import (
    BOX,
    write_cvat_yolo,
    write_picture,
    write_text,
    write_yolo_export,
)
from trainer.data.dataset import Dataset, open_dataset
from trainer.data.findings import Level


def names(dataset: Dataset) -> dict[str, list[str]]:
    """Return split to names of photos."""
    return {n: [p.path.name for p in ps] for n, ps in dataset.splits.items()}


def with_yaml(root: Path, text: str) -> Path:
    """Return a dataset of two photos with a data.yaml."""
    write_yolo_export(root)
    write_text(root / "data.yaml", f"names: [dot]\n{text}\n")
    return root


@pytest.mark.parametrize("listed", [True, False])
def test_cvat_yolo_with_and_without_its_list(tmp_path: Path, listed: bool) -> None:
    dataset = open_dataset(write_cvat_yolo(tmp_path / "d", listed))
    assert names(dataset) == {"train": ["a.png", "b.png"]}
    assert dataset.splits["train"][0].boxes.tolist() == [list(BOX)]


def test_pictures_missing_in_the_list_are_reported(tmp_path: Path) -> None:
    root = write_cvat_yolo(tmp_path / "d")
    write_text(root / "train.txt", "data/obj_train_data/a.png\n")
    dataset = open_dataset(root)
    assert names(dataset) == {"train": ["a.png"]}
    found = [f for f in dataset.findings if "no split of obj.data has it" in f.why]
    assert [f.place for f in found] == ["b.png"]


def test_pictures_of_a_list_that_are_not_there_are_errors(tmp_path: Path) -> None:
    root = write_cvat_yolo(tmp_path / "d")
    write_text(root / "train.txt", "data/obj_train_data/a.png\ndata/obj/lost.png\n")
    errors = [f for f in open_dataset(root).findings if f.level is Level.ERROR]
    assert [error.file.name for error in errors] == ["lost.png"]


def test_splits_of_yolo_1_1_are_read(tmp_path: Path) -> None:
    root = write_cvat_yolo(tmp_path / "d", listed=False)
    write_picture(root / "obj_valid_data" / "c.png", 4)
    write_text(root / "obj_valid_data" / "c.txt", "0 0.5 0.5 0.2 0.2\n")
    text = "classes = 1\ntrain = data/train.txt\nvalid = data/valid.txt\n"
    write_text(root / "obj.data", text)
    assert names(open_dataset(root)) == {"train": ["a.png", "b.png"], "val": ["c.png"]}


@pytest.mark.parametrize(
    "text",
    [
        "train: images",
        "train: ../images",
        "train: [images]",
        "train: list.txt",
        "train: /content/drive/images",
        "path: /nowhere\ntrain: images",
    ],
)
def test_data_yaml_names_folders_lists_and_paths_of_other_computers(
    tmp_path: Path, text: str
) -> None:
    root = with_yaml(tmp_path / "d", text)
    write_text(root / "list.txt", "./images/a.png\nimages/b.png\n")
    assert names(open_dataset(root)) == {"train": ["a.png", "b.png"]}


def test_darknet_export_of_roboflow_is_read(tmp_path: Path) -> None:
    for number, split in enumerate(("train", "valid", "test")):
        write_picture(tmp_path / split / f"{number}.png")
        write_text(tmp_path / split / f"{number}.txt", "1 0.5 0.5 0.25 0.25\n")
        write_text(tmp_path / split / "_darknet.labels", "dent\nchip\n")
    write_text(tmp_path / "README.dataset.txt", "# tiles\n")
    dataset = open_dataset(tmp_path)
    assert names(dataset) == {"train": ["0.png"], "val": ["1.png"], "test": ["2.png"]}
    assert dataset.labels == ("dent", "chip")
    assert [photo.labels.tolist() for photo in dataset.photos] == [[1]] * 3
    assert not dataset.findings


def test_class_names_of_roboflow_that_differ_are_refused(tmp_path: Path) -> None:
    for split, text in (("train", "dent\nchip\n"), ("valid", "chip\ndent\n")):
        write_picture(tmp_path / split / "a.png")
        write_text(tmp_path / split / "a.txt", "1 0.5 0.5 0.25 0.25\n")
        write_text(tmp_path / split / "_darknet.labels", text)
    with pytest.raises(DatasetError, match="class names disagree"):
        open_dataset(tmp_path)


def test_splits_as_folders_need_no_data_yaml(tmp_path: Path) -> None:
    for split, seed in (("train", 1), ("valid", 2)):
        write_picture(tmp_path / split / "images" / f"{split}.png", seed)
        write_text(tmp_path / split / "labels" / f"{split}.txt", "0 0.5 0.5 0.2 0.2\n")
    write_text(tmp_path / "classes.txt", "dot\n")
    dataset = open_dataset(tmp_path)
    assert names(dataset) == {"train": ["train.png"], "val": ["valid.png"]}


def test_outlines_become_their_bounding_boxes_with_a_finding(tmp_path: Path) -> None:
    root = write_yolo_export(tmp_path / "d")
    outline = "0 0.125 0.25 0.375 0.5 0.25 0.75\n"
    write_text(root / "labels" / "a.txt", "0 0.5 0.5 0.1 0.1\n" + outline)
    dataset = open_dataset(root)
    assert dataset.splits["all"][0].boxes[1].tolist() == list(BOX)
    [found] = [f for f in dataset.findings if "bounding box" in f.why]
    assert (found.place, found.level) == ("line 2", Level.WARNING)


@pytest.mark.parametrize("line", ["0 0.5 0.5 0.1", "0 1 2 3 4 5", "0 1 2 3 4 5 6 7"])
def test_other_counts_of_numbers_are_errors(tmp_path: Path, line: str) -> None:
    root = write_yolo_export(tmp_path / "d")
    write_text(root / "labels" / "a.txt", f"{line}\n")
    errors = [f for f in open_dataset(root).findings if f.level is Level.ERROR]
    assert ["expected 4" in error.why for error in errors] == [True]
