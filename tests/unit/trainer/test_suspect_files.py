"""What a person opens in the annotation tool, and sees in the report."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.detections import Detections, no_detections
from models.errors import TrainingError
from trainer.data.dataset import Dataset, Photo
from trainer.data.splitting.assign import assign_splits
from trainer.data.splitting.split_record import SplitOptions
from trainer.evaluation.metrics import measure
from trainer.evaluation.thresholds.choose import choose_thresholds
from trainer.label_errors.export import in_words, write_suspects
from trainer.label_errors.issues import LabelIssue, LabelIssueKind
from trainer.report.label_issues import CrossJudged, over_all_folds, wrong_labels

LABELS = ("dent", "<hole>")


def photo(path: Path, *rows: tuple[int, int]) -> Photo:
    """Make a photo from (x and y, label) of boxes of 10 px."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.zeros((60, 80, 3), np.uint8))
    boxes = np.array([[x, x, x + 10, x + 10] for x, _ in rows], np.float32)
    labels = np.array([label for _, label in rows], np.int64)
    return Photo(path, path.stem.rjust(64, "0"), 80, 60, boxes.reshape(-1, 4), labels)


@pytest.fixture
def photos(tmp_path: Path) -> list[Photo]:
    root = tmp_path / "data"
    return [
        photo(root / "images" / "a.png", (5, 0), (40, 1)),
        photo(root / "good" / "b.png"),
        photo(root / "images" / "c.png", (20, 0)),
    ]


FOUND = [
    Detections(
        np.array([[41, 41, 51, 51]], np.float32),
        np.array([0.9], np.float32),
        np.array([0], np.int64),
    ),
    Detections(
        np.array([[30.26, 30, 44, 44]], np.float32),
        np.array([0.8], np.float32),
        np.array([1], np.int64),
    ),
    no_detections(),
]
SUSPECTS = [
    LabelIssue(LabelIssueKind.MISSING, 1, 0.95, seen=0),
    LabelIssue(LabelIssueKind.WRONG_CLASS, 0, 0.7, labelled=1, seen=0),
    LabelIssue(LabelIssueKind.SPURIOUS, 2, 0.3, labelled=0),
]


@pytest.fixture
def dataset(tmp_path: Path, photos: list[Photo]) -> Dataset:
    root = tmp_path / "data"
    splits, division = assign_splits(root, {"all": photos}, [], SplitOptions())
    return Dataset(root, LABELS, splits, (), "a" * 64, division)


@pytest.fixture
def folder(tmp_path: Path, dataset: Dataset, photos: list[Photo]) -> Path:
    out = tmp_path / "run" / "suspects"
    write_suspects(out, dataset, photos, FOUND, SUSPECTS)
    return out


def test_list_names_photo_label_and_what_is_seen(folder: Path) -> None:
    rows = json.loads((folder / "suspects.json").read_text("utf-8"))["suspects"]
    assert [row["photo"] for row in rows] == [
        *("good/b.png", "images/a.png", "images/c.png")
    ]
    assert rows[0]["labelled"] is None
    assert rows[0]["seen"] == {
        "label": "<hole>",
        "box_px": [30.3, 30, 44, 44],
        "score": 0.8,
    }
    assert rows[1]["labelled"] == {"label": "<hole>", "box_px": [40, 40, 50, 50]}
    assert rows[1]["seen"]["label"] == "dent"
    assert rows[2]["seen"] is None
    assert [row["sure"] for row in rows] == [0.95, 0.7, 0.3]


def test_annotation_tools_get_all_labels_and_the_proposals(folder: Path) -> None:
    coco = json.loads((folder / "coco.json").read_text("utf-8"))
    names = {c["id"]: c["name"] for c in coco["categories"]}
    files = {i["id"]: i["file_name"] for i in coco["images"]}
    rows = [
        (files[a["image_id"]], names[a["category_id"]], a.get("score"))
        for a in coco["annotations"]
    ]
    assert rows == [
        ("good/b.png", "<hole>", pytest.approx(0.8)),
        ("images/a.png", "dent", None),
        ("images/a.png", "<hole>", None),
        ("images/a.png", "dent", pytest.approx(0.9)),
        ("images/c.png", "dent", None),
    ]
    notes = [a.get("note", "") for a in coco["annotations"]]
    assert notes[0].startswith("proposed: missing box?")
    assert notes[1] == ""  # not in question
    assert notes[2].startswith("wrong class? labelled <hole>, seen as dent")
    assert notes[4].startswith("spurious label? no dent is seen here")


def test_cvat_and_label_studio_hold_the_same_boxes(folder: Path) -> None:
    xml = ET.fromstring((folder / "cvat.xml").read_text("utf-8"))  # noqa: S314
    drawn = [
        (image.get("name"), box.get("label"))
        for image in xml.iter("image")
        for box in image.iter("box")
    ]
    tasks = json.loads((folder / "label_studio.json").read_text("utf-8"))
    predicted = [
        (task["data"]["image"].partition("?d=")[2], region["value"]["rectanglelabels"])
        for task in tasks
        for region in task["predictions"][0]["result"]
    ]
    assert drawn == [(name, label[0]) for name, label in predicted]
    assert len(drawn) == 5


def test_folder_that_cannot_be_written_is_told(
    tmp_path: Path, dataset: Dataset, photos: list[Photo]
) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(TrainingError, match="cannot be written"):
        write_suspects(tmp_path / "file" / "x", dataset, photos, FOUND, SUSPECTS)


def crossed(photos: list[Photo], suspects: list[LabelIssue]) -> CrossJudged:
    thresholds = choose_thresholds(FOUND, photos, LABELS, "folds")
    metrics = measure(FOUND, photos, LABELS, thresholds, "folds")
    return CrossJudged(3, photos, FOUND, metrics, suspects)


def test_section_shows_each_suspect_with_both_boxes(
    dataset: Dataset, photos: list[Photo]
) -> None:
    html = wrong_labels(dataset, crossed(photos, SUSPECTS))
    first, second, third = html.split("<figure>")[1:]
    assert "b.png" in first
    assert "missing box" in first
    assert first.count("<rect") == 1
    assert 'class="box right" x="30.3"' in first
    assert "wrong class</em> sure 0.70" in second
    assert second.count("<rect") == 3  # another label, the one in question, the seen
    assert 'class="box truth missed" x="40.0"' in second
    assert "&lt;hole&gt;" in second
    assert "<hole>" not in html
    assert "spurious label" in third
    assert "2 labels are more likely wrong than right, 3 deserve a look" in html


def test_section_shows_at_most_24(dataset: Dataset, photos: list[Photo]) -> None:
    html = wrong_labels(dataset, crossed(photos, SUSPECTS * 20))
    assert html.count("<figure>") == 24


def test_nothing_wrong_is_said(dataset: Dataset, photos: list[Photo]) -> None:
    html = wrong_labels(dataset, crossed(photos, []))
    assert "No label looks wrong." in html


def test_figures_over_all_folds_come_with_their_interval(photos: list[Photo]) -> None:
    judged = crossed(photos, [])
    html = over_all_folds(judged)
    assert "Over all 3 folds" in html
    low, high = judged.metrics.recall_interval
    assert f"{100 * low:.1f} to {100 * high:.1f} %" in html
    assert "good parts alarmed" in html


@pytest.mark.parametrize("kind", list(LabelIssueKind))
def test_every_kind_has_words(kind: LabelIssueKind, photos: list[Photo]) -> None:
    words = in_words(LabelIssue(kind, 0, 0.5, 0, 0), LABELS, photos[0], FOUND[0])
    assert kind.value.replace("-", " ") + "?" in words
