"""YOLO: data.yaml and obj.data that contradict themselves or each other."""

from itertools import pairwise
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


@pytest.mark.parametrize(
    "text",
    [
        ": :",
        "names: [a]\n---\nnames: [b]\n",
        "names: [!!bool maybe]\n",
        "names: [!!timestamp soon]\n",
        "names: [!!int '']\n",
        "names: [!!float '']\n",
        "names: !!omap [[a]]\n",
    ],
)
def test_damaged_yaml_is_refused(tmp_path: Path, text: str) -> None:
    root = write_yolo_export(tmp_path)
    write_text(root / "data.yaml", text)
    with pytest.raises(DatasetError, match=r"data\.yaml: not"):
        open_dataset(root)


NESTED = "a: &a [x, x]\n" + "".join(
    f"{after}: &{after} [{', '.join([f'*{name}'] * 9)}]\n"
    for name, after in pairwise("abcdefghij")
)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (f"{NESTED}path: *j\n", "line 2 has an alias"),
        (f"{NESTED}names: !!pairs [*j, *j]\n", "line 2 has an alias"),
        ("a: &a {<<: *b}\n", "line 1 has an alias"),
        (f"{YAML}loop: &loop [*loop]\n", "has an alias"),
        (f"{YAML}deep: {'[' * 200_000}", "has more than 32 lists in each other"),
        (f"{YAML}nc: 0x{'f' * 9000}\n", "has a number of 9,002 characters"),
        (f"{YAML}nc: {':'.join('1' * 50_000)}\n", "has a number of 99,999 characters"),
        (f"{YAML}path: [a, b]\n", "path is "),
        (f"{YAML}path: {{a: b}}\n", "path is "),
        (f"{YAML}#{'x' * (1 << 20)}\n", "larger than 262144 bytes"),
    ],
    ids=[
        *("aliases in path", "aliases in names", "merge key", "alias of itself"),
        *("deep", "hexadecimal", "base 60", "list", "mapping", "megabytes"),
    ],
)
def test_yaml_that_would_fill_the_memory_is_refused(
    tmp_path: Path, text: str, named: str
) -> None:
    root = write_yolo_export(tmp_path)
    write_text(root / "data.yaml", text)
    with pytest.raises(DatasetError, match=r"data\.yaml") as caught:
        open_dataset(root)
    assert named in caught.value.what
    assert caught.value.why
    assert caught.value.fix


def test_settings_of_another_name_that_are_too_large_are_not_the_datasets(
    tmp_path: Path,
) -> None:
    root = write_yolo_export(tmp_path)
    write_text(root / "lots.yaml", "x: 1\n" * (1 << 18))
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
