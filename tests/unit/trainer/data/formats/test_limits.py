"""Label files that would fill the memory: sizes, counts, numbers without an end."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from models.errors import DatasetError
from tests.simulators.exports import (
    EXPORTS,
    cvat_xml,
    voc_object,
    voc_xml,
    write_cvat,
    write_picture,
    write_text,
)
from trainer.data.checks.check import check_dataset
from trainer.data.dataset import open_dataset
from trainer.data.findings import Level
from trainer.data.formats import json_file, xml_tree
from trainer.data.formats.json_file import read_json
from trainer.data.formats.limits import (
    BOXES_MAX,
    LABELS_MAX_BYTES,
    PHOTO_LABELS_MAX_BYTES,
    SETTINGS_MAX_BYTES,
    TEXT_MAX_BYTES,
)
from trainer.data.formats.xml_tree import read_xml

# Format, file, and the most bytes that are read of it.
LARGEST = {
    "COCO": ("annotations/instances_default.json", LABELS_MAX_BYTES),
    "CVAT": ("annotations.xml", LABELS_MAX_BYTES),
    "Label Studio": ("project-1-at-2026-01-01.json", LABELS_MAX_BYTES),
    "Pascal VOC": ("Annotations/a.xml", PHOTO_LABELS_MAX_BYTES),
    "YOLO": ("labels/a.txt", PHOTO_LABELS_MAX_BYTES),
    "YOLO 1.1": ("train.txt", TEXT_MAX_BYTES),
    "YOLO 1.1 settings": ("obj.data", SETTINGS_MAX_BYTES),
    "YOLO 1.1 names": ("obj.names", SETTINGS_MAX_BYTES),
}


def reasons(root: Path) -> str:
    """Return all that a data set is refused or reported for."""
    try:
        findings = open_dataset(root).findings
    except DatasetError as exc:
        return str(exc)
    return " ".join(f"{f.file.name} {f.why}" for f in findings)


@pytest.mark.parametrize("name", LARGEST)
def test_file_above_its_limit_is_named_and_not_read(tmp_path: Path, name: str) -> None:
    file, limit = LARGEST[name]
    label_format = "YOLO 1.1" if name.startswith("YOLO 1.1") else name
    root = EXPORTS[label_format](tmp_path / "d")
    os.truncate(root / file, limit + 1)  # a file with a hole takes no disk
    found = reasons(root)
    assert f"larger than {limit} bytes" in found
    assert Path(file).name in found


def test_list_of_voc_above_its_limit_is_named(tmp_path: Path) -> None:
    root = EXPORTS["Pascal VOC"](tmp_path / "d")
    path = write_text(root / "ImageSets" / "Main" / "train.txt", "a\n")
    os.truncate(path, TEXT_MAX_BYTES + 1)
    assert f"larger than {TEXT_MAX_BYTES} bytes" in reasons(root)


def test_json_of_too_many_lists_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_file, "JSON_MAX_PARTS", 100)
    path = write_text(tmp_path / "a.json", f"[{','.join(['[]'] * 100)}]")
    assert read_json(path).fault == "It has more than 100 lists and objects."
    write_text(path, f"[{','.join(['[]'] * 99)}]")
    assert read_json(path).fault == ""


def test_key_twice_among_many_is_found_at_once(tmp_path: Path) -> None:
    pairs = ",".join(f'"{number}":0' for number in range(300_000))
    path = write_text(tmp_path / "a.json", f'{{{pairs},"299999":1}}')
    assert "'299999' is twice" in read_json(path).fault


def test_xml_of_too_many_elements_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xml_tree, "XML_MAX_ELEMENTS", 100)
    path = write_text(tmp_path / "a.xml", f"<a>{'<b/>' * 99}</a>")
    assert len(read_xml(path).children) == 99
    write_text(path, f"<a>{'<b/>' * 100}</a>")
    with pytest.raises(DatasetError, match="more than 100 elements"):
        read_xml(path)


def voc_of(root: Path, count: int) -> Path:
    """Write one photo with small boxes in a row."""
    write_picture(root / "a.png")
    objects = "".join(
        voc_object((n % 50, n % 40, n % 50 + 5, n % 40 + 5)) for n in range(count)
    )
    write_text(root / "a.xml", voc_xml("a.png", objects))
    return root


@pytest.mark.timeout(60)
def test_photo_with_too_many_boxes_is_an_error_with_their_number(
    tmp_path: Path,
) -> None:
    root = voc_of(tmp_path, 20_000)
    write_picture(tmp_path / "b.png", 1)
    write_text(tmp_path / "b.xml", voc_xml("b.png", voc_object()))
    dataset = open_dataset(root)
    [finding] = [f for f in dataset.findings if f.level is Level.ERROR]
    assert "20000 boxes on one photo; at most 5000 are read" in finding.why
    assert finding.photo == root / "a.png"
    assert finding.fix
    assert dataset.photo_count == 1


@pytest.mark.timeout(60)
def test_photo_with_the_most_boxes_is_checked(tmp_path: Path) -> None:
    dataset = open_dataset(voc_of(tmp_path, BOXES_MAX))
    assert len(dataset.photos[0].boxes) == BOXES_MAX
    assert check_dataset(tmp_path).findings


NUMBERS = ["1e308", "-1e308", "1e309", "nan", "0x10", "1" * 400, "5e-324", "-0", ""]
CVAT_SHAPES = {
    "box": '<box label="dot" xtl="{}" ytl="2" xbr="20" ybr="20" occluded="0"/>',
    "rotation": '<box label="dot" xtl="2" ytl="2" xbr="20" ybr="20" rotation="{}"/>',
    "polygon": '<polygon label="dot" points="{},1;20,1;20,20"/>',
    "ellipse": '<ellipse label="dot" cx="{0}" cy="9" rx="{0}" ry="4" rotation="{0}"/>',
    "mask": '<mask label="dot" rle="{0}" left="{0}" top="1" width="{0}" height="1"/>',
    "cuboid": '<cuboid label="dot" xtl1="{0}" ytl1="{0}" xbr1="3" ybr1="9"/>',
}


def voc_number(root: Path, number: str) -> None:
    sides = f"<cx>{number}</cx><cy>9</cy><w>{number}</w><h>{number}</h>"
    turned = f"<robndbox>{sides}<angle>{number}</angle></robndbox>"
    plain = f"<robndbox><cx>9</cx><cy>9</cy><w>4</w><h>4</h><angle>{number}</angle>"
    objects = [
        voc_object().replace("<xmin>8", f"<xmin>{number}"),
        voc_object().replace("<xmax>", f"<xmax>{number}"),
        f"<object><name>dot</name>{turned}</object>",
        f"<object><name>dot</name>{plain}</robndbox></object>",
    ]
    xml = voc_xml("a.png", "".join(objects))
    xml = xml.replace("</size>", f"</size><width>{number}</width>")
    write_text(root / "Annotations" / "a.xml", xml)


def cvat_number(root: Path, number: str) -> None:
    shapes = "\n".join(shape.format(number) for shape in CVAT_SHAPES.values())
    write_cvat(root, cvat_xml(shapes))


def yolo_number(root: Path, number: str) -> None:
    lines = [f"0 {number} 0.5 0.1 0.1", f"{number} 0.5 0.5 0.1 0.1"]
    lines += [f"0 0.1 0.1 {number} 0.1", f"0 0.1 0.1 0.2 0.2 {number} 0.3"]
    write_text(root / "labels" / "a.txt", "\n".join(lines))


PUT: dict[str, Callable[[Path, str], None]] = {
    "Pascal VOC": voc_number,
    "CVAT": cvat_number,
    "YOLO": yolo_number,
}


@pytest.mark.parametrize("number", NUMBERS, ids=[n[:8] or "empty" for n in NUMBERS])
@pytest.mark.parametrize("label_format", PUT)
def test_number_that_no_box_has_is_a_finding(
    tmp_path: Path, label_format: str, number: str
) -> None:
    root = EXPORTS[label_format](tmp_path / "d")
    PUT[label_format](root, number)
    assert reasons(root)


@pytest.mark.parametrize("number", [1e308, -1e308, 5e-324])
def test_number_of_coco_that_no_box_has_is_a_finding(
    tmp_path: Path, number: float
) -> None:
    root = EXPORTS["COCO"](tmp_path / "d")
    path = root / LARGEST["COCO"][0]
    document = json.loads(path.read_bytes())
    one = document["annotations"][0]
    document["annotations"] = [
        one | {"id": 1, "bbox": [number, 1, number, 5]},
        one | {"id": 2, "attributes": {"rotation": number}},
        one | {"id": 3, "bbox": [], "segmentation": [[number, 1, 5, number, 1, 1]]},
    ]
    path.write_text(json.dumps(document), "utf-8")
    assert reasons(root)
