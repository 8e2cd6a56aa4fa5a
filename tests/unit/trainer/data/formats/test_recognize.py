"""Every format is recognized without an option; none and two are refused."""

import itertools
import json
import os
import shutil
from pathlib import Path

import pytest

from models.errors import DatasetError
from tests.simulators.exports import (
    BOX,
    EXPORTS,
    write_coco_export,
    write_cvat,
    write_picture,
    write_text,
    write_voc,
)
from trainer.data.dataset import Dataset, open_dataset
from trainer.data.findings import FindingKind
from trainer.data.formats.recognize import read_annotations
from trainer.data.formats.rows import split_name


def counts(dataset: Dataset) -> dict[str, tuple[int, int]]:
    """Return split to photos and boxes."""
    return {
        name: (len(photos), sum(len(photo.labels) for photo in photos))
        for name, photos in dataset.splits.items()
    }


@pytest.mark.parametrize("name", EXPORTS)
def test_every_format_is_read_without_a_flag(tmp_path: Path, name: str) -> None:
    dataset = open_dataset(EXPORTS[name](tmp_path / "d"))
    [photos] = dataset.splits.values()
    assert [photo.path.name for photo in photos] == ["a.png", "b.png"]
    assert photos[0].boxes.tolist() == [list(BOX)]
    assert [dataset.labels[index] for index in photos[0].labels] == ["dot"]
    assert photos[1].is_good
    assert not [f for f in dataset.findings if "no val" not in f.why]


@pytest.mark.parametrize("name", EXPORTS)
def test_boxes_keep_their_place_in_the_file(tmp_path: Path, name: str) -> None:
    root = EXPORTS[name](tmp_path / "d")
    [photos] = open_dataset(root).splits.values()
    assert photos[0].source.is_file()
    assert photos[0].source.suffix in {".json", ".xml", ".txt"}
    [place] = photos[0].places
    assert place.split()[0] in {"annotation", "line", "object", "image", "task"}
    assert photos[1].places == ()


@pytest.mark.parametrize(
    ("one", "two"),
    [
        pair
        for pair in itertools.combinations(EXPORTS, 2)
        if pair[0].split()[0] != pair[1].split()[0]
    ],
)
def test_labels_of_two_formats_are_refused_with_both_named(
    tmp_path: Path, one: str, two: str
) -> None:
    root = EXPORTS[one](tmp_path / "d")
    shutil.copytree(EXPORTS[two](tmp_path / "e"), root, dirs_exist_ok=True)
    with pytest.raises(DatasetError, match="two formats") as caught:
        open_dataset(root)
    for name in (one, two):
        assert name.removesuffix(" 1.1").removesuffix(" JSON-MIN") in caught.value.what


def test_other_xml_and_json_are_no_labels(tmp_path: Path) -> None:
    root = write_coco_export(tmp_path / "d")
    write_text(root / "camera.xml", "<RegisterDescription/>")
    write_text(root / "notes.json", '{"info": {}, "categories": []}')
    write_text(root / "list.json", "[1, 2]")
    write_text(root / "broken.json", "{")
    assert counts(open_dataset(root)) == {"all": (2, 1)}


def test_json_that_is_damaged_is_named_where_nothing_else_is_there(
    tmp_path: Path,
) -> None:
    write_text(tmp_path / "project-1.json", '[{"id": 1,')
    with pytest.raises(DatasetError, match="no labels found") as caught:
        read_annotations(tmp_path)
    assert "project-1.json: It is not JSON" in caught.value.why


def test_folder_with_good_parts_only_says_what_is_possible(tmp_path: Path) -> None:
    for number in range(3):
        write_picture(tmp_path / f"good/{number}.png", number)
    dataset = open_dataset(tmp_path)
    assert (len(dataset.photos), dataset.labels) == (3, ())
    with pytest.raises(DatasetError, match="3 photos of good parts, and no") as caught:
        dataset.for_training()
    assert "at least 30" in caught.value.why
    assert "Put 27 more photos of other good parts into good/" in caught.value.fix
    write_picture(tmp_path / "a.png")
    with pytest.raises(DatasetError, match="no labels found"):
        read_annotations(tmp_path)


def test_json_nested_too_deep_is_reported(tmp_path: Path) -> None:
    write_text(tmp_path / "train.json", "[" * 100_000)
    with pytest.raises(DatasetError, match=r"train\.json"):
        read_annotations(tmp_path)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_json_in_other_encodings_is_read(tmp_path: Path, encoding: str) -> None:
    root = write_coco_export(tmp_path / "d")
    [path] = (root / "annotations").iterdir()
    path.write_bytes(path.read_text(encoding="utf-8").encode(encoding))
    assert counts(open_dataset(root)) == {"all": (2, 1)}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("write", [write_cvat, write_voc])
def test_xml_in_other_encodings_is_read(
    tmp_path: Path, encoding: str, write: object
) -> None:
    assert callable(write)
    root = write(tmp_path / "d")
    declared = encoding.removesuffix("-sig")
    for path in root.rglob("*.xml"):
        text = path.read_text(encoding="utf-8").replace('"utf-8"', f'"{declared}"')
        path.write_bytes(text.encode(encoding))
    assert sum(boxes for _, boxes in counts(open_dataset(root)).values()) == 1


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("/etc/passwd\0.png", "holds a null byte"),
        ("\ud800.png", "holds a character that no file name can have"),
        ("x" * 300 + ".png", "longer than a file name can be"),
        ("a/" * 3000, "longer than a file name can be"),
        ("/etc/hostname.png", "leads out of the dataset"),
        ("../../hostname.png", "leads out of the dataset"),
        ("", "cannot be read"),
    ],
)
def test_picture_names_that_no_file_can_have_are_findings(
    tmp_path: Path, name: str, why: str
) -> None:
    root = write_coco_export(tmp_path / "d")
    [path] = (root / "annotations").iterdir()
    document = json.loads(path.read_text(encoding="utf-8"))
    document["images"][0]["file_name"] = name
    path.write_text(json.dumps(document), encoding="utf-8")
    dataset = open_dataset(root)
    assert counts(dataset) == {"all": (1, 0)}
    [finding] = [f for f in dataset.findings if f.kind is FindingKind.UNREADABLE_PHOTO]
    assert why in finding.why
    assert name == "" or (finding.file, finding.place) == (path, "image 1")


def test_class_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    root = write_coco_export(tmp_path / "d")
    [path] = (root / "annotations").iterdir()
    text = path.read_text(encoding="utf-8").replace('"dot"', '"\\ud800"')
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DatasetError, match="class name is not text"):
        open_dataset(root)


@pytest.mark.parametrize(
    "value", ["1e999", "NaN", "-Infinity", "1" + "0" * 400, "true"]
)
def test_values_that_are_not_numbers_are_findings(tmp_path: Path, value: str) -> None:
    root = write_coco_export(tmp_path / "d")
    [path] = (root / "annotations").iterdir()
    text = path.read_text(encoding="utf-8").replace("[8.0", f"[{value}")
    path.write_text(text, encoding="utf-8")
    dataset = open_dataset(root)
    assert counts(dataset) == {"all": (2, 0)}
    assert any("expected four numbers" in f.why for f in dataset.findings)


def test_folders_of_other_computers_and_hidden_ones_are_left_out(
    tmp_path: Path,
) -> None:
    root = EXPORTS["YOLO"](tmp_path / "d")
    write_text(root / "images" / "._a.png", "macOS")
    write_picture(root / "images" / ".ipynb_checkpoints" / "a.png")
    write_picture(root / "images" / "__MACOSX" / "a.png")
    assert counts(open_dataset(root)) == {"all": (2, 1)}


def test_good_photos_beside_pictures_at_the_root_count_once(tmp_path: Path) -> None:
    root = tmp_path / "d"
    write_picture(root / "a.png")
    write_picture(root / "good" / "g.png", 7)
    write_text(root / "a.txt", "0 0.5 0.5 0.25 0.25\n")
    write_text(root / "classes.txt", "dot\n")
    assert counts(open_dataset(root)) == {"all": (2, 1)}


def test_link_to_the_folder_itself_does_not_go_round(tmp_path: Path) -> None:
    root = EXPORTS["YOLO"](tmp_path / "d")
    (root / "images" / "again").symlink_to(root)
    assert counts(open_dataset(root)) == {"all": (2, 1)}


def test_link_out_of_good_makes_no_good_parts_of_defective_ones(
    tmp_path: Path,
) -> None:
    root = write_coco_export(tmp_path / "d")
    write_picture(root / "good" / "g.png", 7)
    before = counts(open_dataset(root))
    (root / "good" / "up").symlink_to(root)
    assert counts(open_dataset(root)) == before


@pytest.mark.timeout(30)
def test_pipe_called_like_a_picture_is_not_read(tmp_path: Path) -> None:
    root = write_coco_export(tmp_path / "d")
    write_picture(root / "good" / "g.png", 7)
    before = counts(open_dataset(root))
    os.mkfifo(root / "good" / "endless.png")
    assert counts(open_dataset(root)) == before


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("valid", "val"),
        ("Validation", "val"),
        ("Train", "train"),
        ("instances_train2017", "train"),
        ("trainval", "train"),
        ("default", "all"),
        ("", "all"),
        ("Lot7", "Lot7"),
        ("lot2017", "lot2017"),
    ],
)
def test_splits_have_one_name_for_all_tools(text: str, name: str) -> None:
    assert split_name(text) == name


def test_real_exports_are_read_in_full(shared: Path) -> None:
    formats = shared / "data" / "formats"
    cvat = open_dataset(formats / "cvat")
    assert (cvat.labels, counts(cvat)) == (("rebar",), {"train": (8, 398)})
    yolo = open_dataset(formats / "cvat-yolo")
    assert (yolo.labels, counts(yolo)) == (("Rebar",), {"train": (8, 192)})
    wagons = open_dataset(formats / "roboflow-coco")
    assert (wagons.labels, counts(wagons)) == (("gunny_bag", "wire"), {"val": (10, 50)})
    mixed = open_dataset(formats / "yolo-mixed")
    assert mixed.labels == ("closed_door", "opened_door", "bus", "number")
    assert counts(mixed) == {"all": (7, 25)}
    for dataset in (cvat, yolo, wagons, mixed):
        assert not [f for f in dataset.findings if f.level == "error"]
