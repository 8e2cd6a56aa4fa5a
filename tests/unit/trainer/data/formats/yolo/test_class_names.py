"""YOLO: class names, from one file or from several that agree."""

from pathlib import Path

import pytest

from models.errors import DatasetError
from tests.simulators.exports import write_cvat_yolo, write_text, write_yolo_export
from trainer.data.dataset import open_dataset

YAML = "train: images\nnames: [dot, bar]\n"


def refused(root: Path) -> str:
    with pytest.raises(DatasetError) as caught:
        open_dataset(root)
    assert caught.value.why
    assert caught.value.fix
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "line"), [("dot\n\nbar\n", 2), ("\ndot\n", 1), ("a\n  \nb", 2)]
)
@pytest.mark.parametrize("name", ["classes.txt", "obj.names", "labels/classes.txt"])
def test_blank_line_among_class_names_is_refused(
    tmp_path: Path, name: str, text: str, line: int
) -> None:
    root = write_yolo_export(tmp_path)
    (root / "classes.txt").unlink()
    write_text(root / name, text)
    assert f"{name}: line {line} is blank." in refused(root)


def test_blank_lines_at_the_end_are_no_classes(tmp_path: Path) -> None:
    root = write_yolo_export(tmp_path)
    write_text(root / "classes.txt", "dot\nbar\n\n \n")
    assert open_dataset(root).labels == ("dot", "bar")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("bar\ndot\n", "Class 0 is 'dot' in data.yaml, 'bar' in classes.txt."),
        ("dot\n", "data.yaml has 2 classes, classes.txt has 1."),
        ("dot\nbar\nrod\n", "data.yaml has 2 classes, classes.txt has 3."),
    ],
)
def test_files_with_other_class_names_are_refused(
    tmp_path: Path, text: str, why: str
) -> None:
    root = write_yolo_export(tmp_path)
    write_text(root / "data.yaml", YAML)
    write_text(root / "classes.txt", text)
    assert why in refused(root)


@pytest.mark.parametrize("name", ["obj.names", "images/classes.txt"])
def test_other_places_of_class_names_are_compared_too(
    tmp_path: Path, name: str
) -> None:
    root = write_yolo_export(tmp_path)
    write_text(root / name, "bar\n")
    assert name in refused(root)


def test_files_with_the_same_class_names_are_read(tmp_path: Path) -> None:
    root = write_yolo_export(tmp_path)
    write_text(root / "data.yaml", YAML)
    for name in ("classes.txt", "obj.names", "labels/classes.txt"):
        write_text(root / name, "Dot\nbar\n")
    assert open_dataset(root).labels == ("dot", "bar")


@pytest.mark.parametrize("text", ["names: [dot, dot]", "names: {0: dot, 1: dot}"])
def test_class_name_that_is_there_twice_is_refused(tmp_path: Path, text: str) -> None:
    root = write_yolo_export(tmp_path)
    (root / "classes.txt").unlink()
    write_text(root / "data.yaml", f"train: images\n{text}\n")
    assert "class name 'dot' is there twice. It is class 0 and class 1." in refused(
        root
    )


@pytest.mark.parametrize("count", ["3", "1", "'two'", "2.0"])
def test_other_number_of_classes_than_names_is_refused(
    tmp_path: Path, count: str
) -> None:
    root = write_yolo_export(tmp_path)
    (root / "classes.txt").unlink()
    write_text(root / "data.yaml", f"{YAML}nc: {count}\n")
    assert "data.yaml has 2 names" in refused(root)


def test_number_of_classes_of_obj_data_is_compared(tmp_path: Path) -> None:
    root = write_cvat_yolo(tmp_path)
    write_text(root / "obj.names", "dot\nbar\n")
    text = refused(root)
    assert "line 1 gives '1' as the number of classes, obj.names has 2 names" in text


def test_names_file_of_obj_data_is_read(tmp_path: Path) -> None:
    root = write_cvat_yolo(tmp_path)
    (root / "obj.names").rename(root / "parts.names")
    text = (root / "obj.data").read_text("utf-8").replace("obj.names", "parts.names")
    write_text(root / "obj.data", text)
    assert open_dataset(root).labels == ("dot",)


def test_names_are_read_as_they_are_written(tmp_path: Path) -> None:
    root = write_yolo_export(tmp_path)
    (root / "classes.txt").unlink()
    write_text(root / "data.yaml", "train: images\nnames: [no, 1.10, 007, on]\n")
    assert open_dataset(root).labels == ("no", "1.10", "007", "on")


@pytest.mark.parametrize("names", ["[dot, null]", "[dot, '']", "{0: dot, 1: }"])
def test_class_without_name_is_refused(tmp_path: Path, names: str) -> None:
    root = write_yolo_export(tmp_path)
    (root / "classes.txt").unlink()
    write_text(root / "data.yaml", f"train: images\nnames: {names}\n")
    assert "class '1' has no name" in refused(root)


def test_names_that_are_one_text_are_refused(tmp_path: Path) -> None:
    root = write_yolo_export(tmp_path)
    write_text(root / "data.yaml", "train: images\nnames: coco.names\n")
    assert "names is 'coco.names'" in refused(root)
