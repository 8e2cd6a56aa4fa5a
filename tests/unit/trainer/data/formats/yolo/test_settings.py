"""YOLO: data.yaml and obj.data that contradict themselves or each other."""

from pathlib import Path

import pytest

from models.errors import DatasetError
from tests.simulators.exports import write_cvat_yolo, write_text, write_yolo_export
from trainer.data.dataset import open_dataset

YAML = "names: [dot]\ntrain: images\n"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (f"{YAML}train: images/b\n", "'train' is given twice, in lines 2 and 3"),
        ("names: {0: dot, 0: bar}\ntrain: images\n", "'0' is given twice"),
        ("names: [dot]\nextra: {a: 1, a: 1}\n", "'a' is given twice"),
    ],
)
def test_key_that_is_given_twice_is_refused(
    tmp_path: Path, text: str, why: str
) -> None:
    root = write_yolo_export(tmp_path)
    write_text(root / "data.yaml", text)
    with pytest.raises(DatasetError) as caught:
        open_dataset(root)
    assert why in str(caught.value)


@pytest.mark.parametrize("name", ["data.yml", "dataset.yaml", "Data.yaml", "my.yaml"])
def test_second_settings_file_that_differs_is_refused(
    tmp_path: Path, name: str
) -> None:
    root = write_yolo_export(tmp_path)
    write_text(root / "data.yaml", YAML)
    write_text(root / name, YAML)
    assert len(open_dataset(root).photos) == 2
    write_text(root / name, "names: [bar]\ntrain: images\n")
    with pytest.raises(DatasetError, match="two settings files") as e:
        open_dataset(root)
    assert name in str(e.value)


def test_settings_file_of_another_name_is_read(tmp_path: Path) -> None:
    root = write_yolo_export(tmp_path)
    (root / "classes.txt").unlink()
    write_text(root / "scratches.yaml", "names: [dot, bar]\ntrain: images\n")
    write_text(root / "hyp.yaml", "lr0: 0.01\n")
    write_text(root / "broken.yaml", "a: [")
    dataset = open_dataset(root)
    assert (dataset.labels, list(dataset.splits)) == (("dot", "bar"), ["train"])


def test_splits_in_data_yaml_and_obj_data_are_refused(tmp_path: Path) -> None:
    root = write_cvat_yolo(tmp_path)
    write_text(root / "data.yaml", "names: [dot]\n")
    assert len(open_dataset(root).photos) == 2
    write_text(root / "data.yaml", "names: [dot]\ntrain: obj_train_data\n")
    with pytest.raises(DatasetError, match="both name the splits"):
        open_dataset(root)


@pytest.mark.parametrize("text", [": :", "names: [a]\n---\nnames: [b]\n", "a: &x [*x"])
def test_damaged_yaml_is_refused(tmp_path: Path, text: str) -> None:
    root = write_yolo_export(tmp_path)
    write_text(root / "data.yaml", text)
    with pytest.raises(DatasetError, match=r"data\.yaml: not"):
        open_dataset(root)


def test_list_that_holds_itself_is_compared_without_end(tmp_path: Path) -> None:
    root = write_yolo_export(tmp_path)
    for name in ("data.yaml", "data.yml"):
        write_text(root / name, f"{YAML}loop: &loop [*loop]\n")
    assert len(open_dataset(root).photos) == 2


@pytest.mark.parametrize("line", ["train = data/b.txt", "Names = data/other.names"])
def test_setting_of_obj_data_that_is_given_twice_is_refused(
    tmp_path: Path, line: str
) -> None:
    root = write_cvat_yolo(tmp_path)
    text = (root / "obj.data").read_text("utf-8")
    write_text(root / "obj.data", f"{text}{line}\n")
    with pytest.raises(DatasetError, match=r"obj\.data: .* is given twice, in lines"):
        open_dataset(root)
