"""YOLO: nothing is left unread without a finding, and the given folder is read."""

import shutil
from pathlib import Path
from unicodedata import normalize

import pytest

from models.errors import DatasetError
from tests.simulators.exports import (
    write_cvat_yolo,
    write_picture,
    write_text,
    write_yolo_export,
)
from tests.simulators.findings import errors_of, warnings_of
from trainer.data.checks.check import check_dataset
from trainer.data.dataset import Dataset, open_dataset
from trainer.data.findings import FindingKind
from trainer.data.formats.yolo import splits
from trainer.data.formats.yolo.splits import outside

ROW = "0 0.25 0.5 0.25 0.5\n"


def names(dataset: Dataset) -> dict[str, list[str]]:
    """Return split to names of photos."""
    return {n: [p.path.name for p in ps] for n, ps in dataset.splits.items()}


def add(root: Path, place: str, seed: int) -> None:
    """Write one more photo with a box, such as ``valid/images/v``."""
    write_picture(root / f"{place}.png", seed)
    write_text(root / f"{place.replace('images', 'labels')}.txt", ROW)


@pytest.mark.parametrize("folder", ["valid/images", "test/images", "images-2", "more"])
def test_folder_that_data_yaml_does_not_name_is_reported(
    tmp_path: Path, folder: str
) -> None:
    root = write_yolo_export(tmp_path)
    write_text(root / "data.yaml", "names: [dot]\ntrain: images\n")
    add(root, f"{folder}/v", 5)
    assert names(open_dataset(root)) == {"train": ["a.png", "b.png"]}
    [found] = [f for f in warnings_of(root) if "no split of data.yaml has it" in f.why]
    assert (found.place, folder in found.why) == ("v.png", True)
    assert found.why.startswith("1 photo left out")


def test_pictures_beside_split_folders_are_reported(tmp_path: Path) -> None:
    add(tmp_path, "images/train/a", 1)
    add(tmp_path, "images/b", 2)
    add(tmp_path, "images/extra/c", 3)
    write_text(tmp_path / "classes.txt", "dot\n")
    found = [f for f in warnings_of(tmp_path) if "no split has it" in f.why]
    assert sorted(f.place for f in found) == ["b.png", "c.png"]


@pytest.mark.parametrize("name", ["Train", "training", "train2017"])
def test_split_folders_in_other_spellings_are_splits(tmp_path: Path, name: str) -> None:
    add(tmp_path, f"images/{name}/a", 1)
    add(tmp_path, "images/val/b", 2)
    write_text(tmp_path / "classes.txt", "dot\n")
    assert names(open_dataset(tmp_path)) == {"train": ["a.png"], "val": ["b.png"]}


def test_picture_that_a_list_names_twice_counts_once(tmp_path: Path) -> None:
    root = write_cvat_yolo(tmp_path)
    lines = "data/obj_train_data/a.png\nobj_train_data\\b.png\nobj_train_data/a.png\n"
    write_text(root / "train.txt", lines)
    assert not errors_of(root)
    assert names(open_dataset(root)) == {"train": ["a.png", "b.png"]}
    [found] = [f for f in warnings_of(root) if "twice" in f.why]
    assert (found.file.name, found.place) == ("train.txt", "a.png, line 3")


def test_folder_that_a_split_names_many_times_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_yolo_export(tmp_path)
    again = "images, ./images, images/../images, " * 1000
    write_text(root / "data.yaml", f"names: [dot]\ntrain: [{again}]\n")
    read: list[Path] = []
    real = splits.pictures_below
    monkeypatch.setattr(
        splits, "pictures_below", lambda place: read.append(place) or real(place)
    )
    assert len(open_dataset(root).photos) == 2
    assert len(read) == 1
    [found] = [f for f in warnings_of(root) if "more than once" in f.why]
    assert found.why == "split train names 'images' more than once: it counts once."


def test_picture_in_two_lists_is_an_error(tmp_path: Path) -> None:
    root = write_cvat_yolo(tmp_path)
    text = "classes = 1\ntrain = data/train.txt\nvalid = data/valid.txt\n"
    write_text(root / "obj.data", text)
    write_text(root / "valid.txt", "data/obj_train_data/a.png\n")
    found = check_dataset(root, trains=False).errors
    [error] = [f for f in found if f.kind is FindingKind.SAME_IN_TWO_SPLITS]
    assert (error.file.name, error.place) == ("a.png", "val")


def test_picture_of_another_folder_is_not_taken_for_a_missing_one(
    tmp_path: Path,
) -> None:
    add(tmp_path, "images/train/a", 1)
    add(tmp_path, "images/val/b", 2)
    write_text(tmp_path / "data.yaml", "names: [dot]\ntrain: t.txt\nval: v.txt\n")
    write_text(tmp_path / "t.txt", "images/train/a.png\nimages/train/b.png\n")
    write_text(tmp_path / "v.txt", "images/val/b.png\n")
    [error] = errors_of(tmp_path)
    assert error.place == "line 2"
    assert "images/val/b.png has the same name" in error.why
    assert names(open_dataset(tmp_path)) == {"train": ["a.png"], "val": ["b.png"]}


@pytest.mark.parametrize("missing", ["valid/images", "../valid/images"])
def test_missing_split_folder_is_not_replaced_by_another_one(
    tmp_path: Path, missing: str
) -> None:
    root = write_yolo_export(tmp_path)
    write_text(root / "data.yaml", f"names: [dot]\ntrain: images\nval: {missing}\n")
    with pytest.raises(DatasetError, match=f"folder '{missing}' is not there"):
        open_dataset(root)


def test_end_of_a_path_from_another_computer_is_used(tmp_path: Path) -> None:
    add(tmp_path, "images/val/a", 1)
    write_text(
        tmp_path / "data.yaml", "names: [dot]\nval: /home/train/line/images/val\n"
    )
    assert names(open_dataset(tmp_path)) == {"val": ["a.png"]}


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("path: {0}\ntrain: images\n", "path"),
        ("path: ../original\ntrain: images\n", "path"),
        ("train: {0}/images\n", "train"),
        ("train: ../original/images\n", "train"),
    ],
)
def test_given_folder_is_read_and_the_original_is_named(
    tmp_path: Path, text: str, key: str
) -> None:
    original = write_yolo_export(tmp_path / "original")
    root = tmp_path / "copy"
    shutil.copytree(original, root)
    write_text(root / "data.yaml", "names: [dot]\n" + text.format(original))
    dataset = open_dataset(root)
    assert all(photo.path.is_relative_to(root) for photo in dataset.photos)
    [found] = [f for f in dataset.findings if "which exists" in f.why]
    assert (found.file.name, found.place) == ("data.yaml", key)
    assert f"{original}" in found.why
    assert f"{root}" in found.why


def test_list_of_pictures_of_the_original_is_named(tmp_path: Path) -> None:
    original = write_yolo_export(tmp_path / "original")
    root = tmp_path / "copy"
    shutil.copytree(original, root)
    write_text(root / "data.yaml", "names: [dot]\ntrain: list.txt\n")
    lines = "".join(f"{original}/images/{name}.png\n" for name in "ab")
    write_text(root / "list.txt", lines)
    dataset = open_dataset(root)
    assert names(dataset) == {"train": ["a.png", "b.png"]}
    assert all(photo.path.is_relative_to(root) for photo in dataset.photos)
    [found] = [f for f in dataset.findings if "which exists" in f.why]
    assert (found.file.name, found.place) == ("list.txt", "line 1")
    assert "2 lines" in found.why


@pytest.mark.parametrize("text", ["path: {0}\n", "path: .\n", "path: /nowhere\n", ""])
def test_path_to_the_given_folder_is_no_finding(tmp_path: Path, text: str) -> None:
    root = write_yolo_export(tmp_path / "d")
    yaml = "names: [dot]\ntrain: images\n" + text.format(root)
    write_text(root / "data.yaml", yaml)
    assert not [f for f in open_dataset(root).findings if "which exists" in f.why]


def test_outside_means_what_exists_beside_the_dataset(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "x").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "d")
    root = tmp_path / "d"
    assert outside(root, root, "../x") == tmp_path / "x"
    assert outside(root, root, str(tmp_path / "y")) is None
    assert outside(root, root, "x") is None
    assert outside(root, root, str(tmp_path / "link")) is None
    assert outside(root, root, "a\0b") is None


def test_good_is_no_part_of_a_split_that_names_the_whole_folder(tmp_path: Path) -> None:
    root = write_yolo_export(tmp_path)
    write_picture(root / "good" / "g.png", 9)
    write_text(root / "data.yaml", "names: [dot]\nval: .\n")
    read = open_dataset(root)
    assert not [f for f in read.findings if f.level == "error"]
    assert [p.path.name for p in read.splits["val"]][:2] == ["a.png", "b.png"]
    assert not read.unlabelled


@pytest.mark.parametrize("key", ["Train", "trian", "validate"])
def test_key_that_is_no_split_is_reported(tmp_path: Path, key: str) -> None:
    root = write_yolo_export(tmp_path)
    write_text(root / "data.yaml", f"names: [dot]\n{key}: images\nname: d\n")
    assert [f.place for f in warnings_of(root) if "is no split" in f.why] == [key]


def test_list_that_no_setting_names_is_reported(tmp_path: Path) -> None:
    root = write_yolo_export(tmp_path)
    write_text(root / "train.txt", "images/a.png\n")
    write_text(root / "valid.txt", "this is about the validation\n")
    found = [f for f in warnings_of(root) if "lists pictures" in f.why]
    assert [f.file.name for f in found] == ["train.txt"]


@pytest.mark.parametrize("value", ["{path: images}", "[1]", "3", "[[images]]", "true"])
def test_split_that_is_no_folder_is_refused(tmp_path: Path, value: str) -> None:
    root = write_yolo_export(tmp_path)
    write_text(root / "data.yaml", f"names: [dot]\ntrain: {value}\n")
    with pytest.raises(DatasetError, match=r"data\.yaml: train is"):
        open_dataset(root)


@pytest.mark.parametrize(("listed", "stored"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_list_in_another_unicode_form_names_the_same_picture(
    tmp_path: Path, listed: str, stored: str
) -> None:
    root = write_cvat_yolo(tmp_path)
    for path in (root / "obj_train_data").glob("a.*"):
        path.rename(path.with_name(normalize(stored, f"Stück{path.suffix}")))
    name = normalize(listed, "Stück.png")
    lines = f"data/obj_train_data/{name}\ndata/obj_train_data/b.png\n"
    write_text(root / "train.txt", lines)
    assert not errors_of(root)
    assert [len(p.boxes) for p in open_dataset(root).splits["train"]] == [1, 0]
