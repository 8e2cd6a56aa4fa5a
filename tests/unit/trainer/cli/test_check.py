"""What ``graftline check`` prints: no name of a data set commands the terminal."""

from collections.abc import Callable
from pathlib import Path

import pytest

from graftline import main
from tests.simulators.exports import (
    CVAT_BOX,
    cvat_xml,
    write_coco_export,
    write_cvat,
    write_picture,
    write_text,
    write_voc,
    write_yolo_export,
)

CLEAR = "\x1b[2J"  # clears the screen
# XML holds no ESC: its 8-bit form, a line break, and text from right to left.
IN_XML = "x\x9b2Jy&#10;0 errors, 0 warnings\u202e"


def cvat(root: Path) -> None:
    shape = CVAT_BOX.replace("dot", IN_XML)
    image = f'subset="{IN_XML}"'
    write_cvat(root, cvat_xml(shape + shape, subset=IN_XML, image=image))
    write_picture(root / f"c{CLEAR}.png")
    write_text(root / f"d{CLEAR}\n0 errors.xml", "<a>")


def coco(root: Path) -> None:
    write_coco_export(root)
    path = next((root / "annotations").glob("*.json"))
    text = path.read_text("utf-8").replace("dot", "d\\u001b[2J\\n0 errors, 0 warnings")
    write_text(root / "annotations" / f"t{CLEAR}\n0 errors.json", text)
    path.unlink()


def voc(root: Path) -> None:
    write_voc(root)
    path = root / "Annotations" / "a.xml"
    write_text(path, path.read_text("utf-8").replace("dot", IN_XML))
    write_text(root / f"ImageSets/Main/t{CLEAR}\n0 errors.txt", "a\nb\n")
    write_text(root / "ImageSets/Main/train.txt", f"a\n{CLEAR}\n")


def yolo(root: Path) -> None:
    write_yolo_export(root)
    names = '"d\\e[2J\\n0 errors"'
    write_text(
        root / "data.yaml", f'names: [{names}]\ntrain: images\n"k\\e[2J": images'
    )
    write_text(root / "labels" / f"a{CLEAR}.txt", f"{CLEAR} 0 0 0\n")


def yolo_path(root: Path) -> None:
    write_yolo_export(root)
    text = 'names: [a]\ntrain: "x\\e[2J\\n0 errors, 0 warnings"\n'
    write_text(root / "data.yaml", text)


def not_yaml(root: Path) -> None:
    write_yolo_export(root)
    write_text(root / "data.yaml", 'a: "\\e[2J" b: \u202e*\u0085x')


def no_labels(root: Path) -> None:
    write_picture(root / f"a{CLEAR}\n.png")
    write_text(root / f"x{CLEAR}\n0 errors.csv", "xmin,ymin\n")


@pytest.mark.parametrize(
    "write", [cvat, coco, voc, yolo, yolo_path, not_yaml, no_labels]
)
def test_no_control_character_of_a_data_set_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], write: Callable[[Path], None]
) -> None:
    root = tmp_path / "d"
    write(root)
    main(["check", str(root)])
    printed = "".join(capsys.readouterr())
    assert printed
    raw = {char for char in printed if not char.isprintable()} - {"\n"}
    assert not raw, printed
    forged = [line for line in printed.splitlines() if line.startswith("0 errors")]
    assert len(forged) <= 1, printed  # the count of a data set without an error
