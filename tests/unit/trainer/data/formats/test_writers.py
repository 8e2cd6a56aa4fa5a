"""Files written for annotation tools are read back by the readers."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from models.errors import DatasetError
from models.label_files import LabelledBox, LabelledPicture
from tests.examples import example_count
from trainer.data.formats.recognize import read_annotations
from trainer.data.formats.rows import Annotations
from trainer.data.formats.writers import write_coco, write_cvat, write_label_studio
from trainer.data.formats.xml_tree import read_xml

Write = Callable[[Path, Sequence[LabelledPicture]], None]

NASTY = "<&\"' ü 中 ]]>"
PICTURES = (
    LabelledPicture(
        "lot 1/a&b ü.png",
        640,
        480,
        (
            LabelledBox("bar", (10.5, 20.25, 110.5, 60.75), 0.91, "missing box?"),
            LabelledBox(NASTY, (0, 0, 640, 480), None, NASTY),
        ),
    ),
    LabelledPicture("good.png", 320, 200),
)
WRITERS: dict[str, tuple[Write, str]] = {
    "coco": (write_coco, "train.json"),
    "cvat": (write_cvat, "annotations.xml"),
    "label-studio": (write_label_studio, "tasks.json"),
}


def accept_predictions(path: Path) -> None:
    """Make annotations of the predictions, as a person does in Label Studio."""
    tasks = json.loads(path.read_text(encoding="utf-8"))
    for number, task in enumerate(tasks):
        task["id"] = number
        task["annotations"] = task.pop("predictions")
    path.write_text(json.dumps(tasks), encoding="utf-8")


def written(name: str, root: Path, pictures: Sequence[LabelledPicture]) -> Annotations:
    """Return what the reader makes of a written file."""
    write, file = WRITERS[name]
    write(root / file, pictures)
    if name == "label-studio":
        accept_predictions(root / file)
    return read_annotations(root)


def same(annotations: Annotations, pictures: Sequence[LabelledPicture]) -> bool:
    """Return whether photos, classes and boxes are those that were written."""
    [photos] = annotations.splits.values()
    assert len(photos) == len(pictures)
    for photo, picture in zip(photos, pictures, strict=True):
        assert str(photo.path).endswith(picture.name)
        assert [row.label for row in photo.rows] == [b.label for b in picture.boxes]
        for row, box in zip(photo.rows, picture.boxes, strict=True):
            sides = (picture.width_px, picture.height_px) * 2
            scale = sides if row.normalized else (1,) * 4
            read = [value * side for value, side in zip(row.box, scale, strict=True)]
            assert read == pytest.approx(box.box_xyxy, abs=0.006)
    return True


@pytest.mark.parametrize("name", WRITERS)
def test_what_is_written_is_read_back(tmp_path: Path, name: str) -> None:
    annotations = written(name, tmp_path, PICTURES)
    assert same(annotations, PICTURES)
    # COCO has no place for what a model drew: its boxes would count as a person's.
    reasons = [f.why for f in annotations.findings]
    assert [why for why in reasons if "with a score" not in why] == []
    assert bool(reasons) == (name == "coco")


@pytest.mark.parametrize("name", WRITERS)
@settings(max_examples=example_count(20), deadline=None)
@given(data=st.data())
def test_any_boxes_are_read_back(
    name: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    side = st.integers(2, 8000)
    label = st.text(
        st.characters(categories=["L", "N", "S", "P"], exclude_characters="/\\"),
        min_size=1,
        max_size=12,
    )
    pictures = []
    for number in range(data.draw(st.integers(1, 3))):
        width, height = data.draw(side), data.draw(side)
        boxes = []
        for _ in range(data.draw(st.integers(0, 3))):
            x = sorted(data.draw(st.tuples(st.floats(0, width), st.floats(0, width))))
            y = sorted(data.draw(st.tuples(st.floats(0, height), st.floats(0, height))))
            boxes.append(LabelledBox(data.draw(label), (x[0], y[0], x[1], y[1])))
        pictures.append(LabelledPicture(f"{number}.png", width, height, tuple(boxes)))
    # Boxes within a pixel or per cent of the corner alone are refused as shares.
    drawn = [(p, b.box_xyxy[2:]) for p in pictures for b in p.boxes]
    sizes = [(x - 1, 100 * x - p.width_px) for p, (x, _) in drawn]
    assume(not drawn or any(min(size) > 0 for size in sizes))
    root = tmp_path_factory.mktemp("written")
    assert same(written(name, root, pictures), pictures)


def test_score_and_note_travel_in_every_format(tmp_path: Path) -> None:
    write_coco(tmp_path / "c.json", PICTURES)
    entry = json.loads((tmp_path / "c.json").read_text("utf-8"))["annotations"][0]
    assert (entry["score"], entry["note"]) == (0.91, "missing box?")
    write_cvat(tmp_path / "c.xml", PICTURES)
    box = read_xml(tmp_path / "c.xml").find_all("image")[0].find_all("box")[0]
    found = {a.attributes["name"]: a.text for a in box.find_all("attribute")}
    assert found == {"score": "0.91", "note": "missing box?"}
    write_label_studio(tmp_path / "l.json", PICTURES)
    tasks = json.loads((tmp_path / "l.json").read_text("utf-8"))
    shown = tasks[0]["predictions"][0]["result"][0]
    assert (shown["score"], shown["meta"]["text"]) == (0.91, ["missing box?"])
    assert (shown["original_width"], shown["original_height"]) == (640, 480)


def test_characters_that_xml_cannot_hold_do_not_break_it(tmp_path: Path) -> None:
    box = LabelledBox("dot", (1, 2, 3, 4), None, "bell \a and \ud800")
    write_cvat(tmp_path / "annotations.xml", [LabelledPicture("a.png", 9, 9, (box,))])
    assert read_annotations(tmp_path).labels == ["dot"]


@pytest.mark.parametrize("name", WRITERS)
def test_file_that_cannot_be_written_is_an_error(tmp_path: Path, name: str) -> None:
    write, _ = WRITERS[name]
    with pytest.raises(DatasetError, match="cannot be written"):
        write(tmp_path / "nowhere" / "file", PICTURES)
