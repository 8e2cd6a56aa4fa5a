"""YOLO: which label file belongs to which photo."""

import unicodedata
from pathlib import Path

import pytest

from tests.simulators.exports import BOX, write_picture, write_text, write_yolo_export
from tests.simulators.findings import errors_of, warnings_of
from trainer.data.dataset import open_dataset
from trainer.data.formats.yolo.label_files import LabelFiles, plain

ROW = "0 0.25 0.5 0.25 0.5\n"  # `BOX`
OTHER_ROW = "0 0.5 0.5 0.1 0.1\n"


def dataset(root: Path, picture: str, labels: str) -> Path:
    """Write one photo and its label file under any names, and a good part."""
    write_picture(root / "images" / picture, 5)
    write_text(root / "labels" / labels, ROW)
    write_picture(root / "good" / "g.png", 6)
    write_text(root / "classes.txt", "dot\n")
    return root


@pytest.mark.parametrize(
    ("picture", "labels"),
    [
        ("a.png", "a.TXT"),
        ("a.png", "A.TXT"),
        ("A.PNG", "a.txt"),
        ("x.y.png", "x.y.txt"),
        (unicodedata.normalize("NFD", "Stück.png"), "Stück.txt"),
        ("Stück.png", unicodedata.normalize("NFD", "STÜCK.txt")),
    ],
)
def test_label_file_in_another_case_or_unicode_form_is_read(
    tmp_path: Path, picture: str, labels: str
) -> None:
    root = dataset(tmp_path, picture, labels)
    assert not errors_of(root)
    [photo] = [p for p in open_dataset(root).photos if not p.is_good]
    assert photo.boxes.tolist() == [list(BOX)]


def test_labels_folder_in_another_case_is_read(tmp_path: Path) -> None:
    root = dataset(tmp_path, "a.png", "a.txt")
    (root / "labels").rename(root / "Labels")
    assert [len(p.boxes) for p in open_dataset(root).photos] == [1, 0]


def test_names_that_differ_by_case_only_keep_their_labels(tmp_path: Path) -> None:
    root = dataset(tmp_path, "a.png", "a.txt")
    write_picture(root / "images" / "A.png", 7)
    write_text(root / "labels" / "A.txt", "")
    photos = {p.path.name: len(p.boxes) for p in open_dataset(root).splits["all"]}
    assert photos == {"A.png": 0, "a.png": 1, "g.png": 0}


def test_photo_without_label_file_is_unlabelled_and_an_empty_file_makes_it_good(
    tmp_path: Path,
) -> None:
    root = write_yolo_export(tmp_path)
    assert [p.path.name for p in open_dataset(root).splits["all"] if p.is_good] == [
        "b.png"
    ]
    (root / "labels" / "b.txt").unlink()
    read = open_dataset(root)
    assert [p.path.name for p in read.photos] == ["a.png"]
    assert [p.path.name for p in read.unlabelled] == ["b.png"]
    [found] = [f for f in read.findings if "no label file" in f.why]
    assert found.place == "b.png"


@pytest.mark.parametrize("others", [["a.jpg"], ["a.jpg", "a.bmp"], ["A.png"]])
@pytest.mark.parametrize("text", [ROW, ""])
def test_photos_that_could_share_a_label_file_are_all_named(
    tmp_path: Path, others: list[str], text: str
) -> None:
    root = write_yolo_export(tmp_path)
    write_text(root / "labels" / "a.txt", text)
    for seed, other in enumerate(others, 10):
        write_picture(root / "images" / other, seed)
    [error] = errors_of(root)
    assert error.file == root / "labels" / "a.txt"
    assert f"{len(others) + 1} photos could be meant by labels/a.txt" in error.why
    assert all(f"images/{name}" in error.why for name in ("a.png", *others))
    assert [p.path.name for p in open_dataset(root).photos] == ["b.png"]


@pytest.mark.parametrize("second", ["images/a.txt", "labels/A.txt", "labels/a.TXT"])
def test_two_label_files_of_one_photo_that_differ_are_refused(
    tmp_path: Path, second: str
) -> None:
    root = write_yolo_export(tmp_path)
    write_text(root / second, OTHER_ROW)
    [error] = errors_of(root)
    assert "images/a.png has 2 label files that differ" in error.why
    assert second in error.why
    assert "labels/a.txt" in error.why
    assert [p.path.name for p in open_dataset(root).photos] == ["b.png"]


def test_two_label_files_of_one_photo_with_the_same_rows_are_read(
    tmp_path: Path,
) -> None:
    root = write_yolo_export(tmp_path)
    write_text(root / "images" / "a.txt", ROW.replace(" ", "  "))
    assert not errors_of(root)
    assert [len(p.boxes) for p in open_dataset(root).photos] == [1, 0]


def test_folder_named_images_above_the_dataset_moves_no_labels(tmp_path: Path) -> None:
    root = tmp_path / "images" / "set"
    write_picture(root / "a.png")
    write_text(root / "a.txt", ROW)
    write_text(root / "classes.txt", "dot\n")
    write_text(tmp_path / "labels" / "set" / "a.txt", OTHER_ROW)
    [photo] = open_dataset(root).photos
    assert photo.source == root / "a.txt"


def test_label_file_that_leads_nowhere_is_an_error(tmp_path: Path) -> None:
    root = write_yolo_export(tmp_path)
    (root / "labels" / "b.txt").unlink()
    (root / "labels" / "b.txt").symlink_to(tmp_path / "moved.txt")
    [error] = errors_of(root)
    assert (error.file.name, "cannot be read" in error.why) == ("b.txt", True)


def test_readme_and_lists_are_no_label_files(tmp_path: Path) -> None:
    root = write_yolo_export(tmp_path)
    write_text(root / "README.roboflow.txt", "dot - v1\n0 boxes were changed\n")
    write_text(root / "labels" / "classes.txt", "dot\n")
    assert not [f for f in warnings_of(root) if "label file" in f.why]


def test_plain_names_are_alike_where_tools_replace_letters() -> None:
    assert plain("teil#3 (b)") == plain("Teil_3__b_") == plain("teil#3 (b).jpg")
    assert plain("Stück") == plain(unicodedata.normalize("NFD", "stück"))
    assert plain("a1") != plain("a11")
    assert plain("###") != plain("##")


def test_labels_are_looked_for_in_the_innermost_images_folder(tmp_path: Path) -> None:
    picture = tmp_path / "images" / "x" / "images" / "train" / "a.png"
    assert LabelFiles(tmp_path, []).folders(picture) == [
        tmp_path / "images" / "x" / "labels" / "train",
        picture.parent,
    ]


@pytest.mark.parametrize("folder", ["images", "labels"])
@pytest.mark.parametrize("target", ["aaa", "zzz", "zzz/inner"])
def test_folder_that_is_a_link_is_read_once(
    tmp_path: Path, folder: str, target: str
) -> None:
    root = write_yolo_export(tmp_path)
    (root / target).parent.mkdir(exist_ok=True)
    (root / folder).rename(root / target)
    (root / folder).symlink_to(root / target)
    dataset = open_dataset(root)
    assert [len(p.boxes) for p in dataset.photos] == [1, 0]
    assert not dataset.unlabelled
    assert not [f for f in dataset.findings if "no picture" in f.why]


def test_split_of_links_to_a_pool_of_photos_is_read(tmp_path: Path) -> None:
    root = write_yolo_export(tmp_path)
    for name in ("images", "labels"):
        (root / name / "train").mkdir()
        for path in [p for p in (root / name).iterdir() if p.is_file()]:
            (root / name / "train" / path.name).symlink_to(path)
    dataset = open_dataset(root)
    assert [len(p.boxes) for p in dataset.splits["train"]] == [1, 0]
    assert not dataset.unlabelled
