"""YOLO: label files become rows; what cannot be used is named with file and line."""

from pathlib import Path

import pytest

from tests.simulators.exports import BOX, write_text, write_yolo_export
from tests.simulators.findings import errors_of, warnings_of
from trainer.data.dataset import open_dataset

BOX_ROW = "0 0.25 0.5 0.25 0.5"
CORNERS = [
    f"0 {x1} {y1} {x1 + 0.1} {y1 + 0.2}"
    for x1, y1 in ((0.1, 0.2), (0.3, 0.3), (0.7, 0.1), (0.85, 0.7), (0.5, 0.5))
]


def test_few_boxes_that_may_be_corners_are_a_warning(tmp_path: Path) -> None:
    root = write_yolo_export(tmp_path)
    write_text(root / "labels" / "a.txt", "\n".join(CORNERS[2:4]))
    assert not errors_of(root)
    assert [f.file.name for f in warnings_of(root) if "may be corners" in f.why] == [
        "labels"
    ]
    write_text(root / "labels" / "a.txt", "\n".join(CORNERS))
    [error] = errors_of(root)
    assert error.file.name == "a.txt"


def test_dataset_whose_class_numbers_start_at_1_keeps_no_box(tmp_path: Path) -> None:
    root = write_yolo_export(tmp_path)
    write_text(root / "classes.txt", "dot\nbar\n")
    write_text(root / "labels" / "a.txt", "1 0.25 0.5 0.25 0.5\n")
    write_text(root / "labels" / "b.txt", "2 0.25 0.5 0.25 0.5\n")
    errors = errors_of(root)
    assert [error.file.name for error in errors] == ["a.txt", "b.txt"]
    assert all("seem to start at 1, expected 0" in error.why for error in errors)
    assert all(photo.is_good for photo in open_dataset(root).photos)


def test_lines_of_one_file_with_the_same_fault_are_one_finding(tmp_path: Path) -> None:
    root = write_yolo_export(tmp_path)
    write_text(root / "labels" / "a.txt", f"{BOX_ROW} 0.9\n" * 5)
    [error] = errors_of(root)
    assert error.place == "line 1; line 2; line 3; …"


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ("0 0.125 0.25 0.375 0.25 0.375 0.75 0.125 0.75", "turned box or polygon"),
        ("0 0.125 0.25 0.375 0.5 0.25 0.75", "triangle"),
        ("0 .125 .25 .25 .25 .375 .5 .25 .75 .125 .75", "polygon"),
    ],
)
def test_corners_become_their_bounding_box_with_their_kind(
    tmp_path: Path, row: str, kind: str
) -> None:
    root = write_yolo_export(tmp_path)
    write_text(root / "labels" / "a.txt", row)
    assert open_dataset(root).photos[0].boxes.tolist() == [list(BOX)]
    [found] = [f for f in warnings_of(root) if "bounding box" in f.why]
    assert found.why.startswith(kind)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be-mark"])
@pytest.mark.parametrize("file", ["labels/a.txt", "classes.txt", "data.yaml"])
def test_files_of_windows_are_read(tmp_path: Path, encoding: str, file: str) -> None:
    root = write_yolo_export(tmp_path)
    write_text(root / "data.yaml", "names: [dot]\ntrain: images\n")
    text = (root / file).read_text("utf-8").replace("\n", "\r\n")
    big_endian = b"\xfe\xff" + text.encode("utf-16-be")
    content = big_endian if "mark" in encoding else text.encode(encoding)
    (root / file).write_bytes(content)
    assert not errors_of(root)
    assert [p.boxes.tolist() for p in open_dataset(root).photos] == [[list(BOX)], []]


@pytest.mark.parametrize("content", [b"0\x00 \x000\x00", b"\x00" * 40, b"\xff\xfe0"])
def test_damaged_label_file_makes_no_good_part(tmp_path: Path, content: bytes) -> None:
    root = write_yolo_export(tmp_path)
    (root / "labels" / "b.txt").write_bytes(content)
    assert [error.file.name for error in errors_of(root)] == ["b.txt"]
