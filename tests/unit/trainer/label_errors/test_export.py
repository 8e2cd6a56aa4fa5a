"""Label issues as annotation tools and the report show them."""

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
from trainer.label_errors.export import issue_text, write_label_issues
from trainer.label_errors.issues import LabelIssue, LabelIssueKind
from trainer.report.label_issues import (
    CrossValidation,
    folds_section,
    label_issues_section,
)

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
ISSUES = [
    LabelIssue(LabelIssueKind.MISSING, 1, 0.95, detection=0),
    LabelIssue(LabelIssueKind.WRONG_CLASS, 0, 0.7, label=1, detection=0),
    LabelIssue(LabelIssueKind.SPURIOUS, 2, 0.3, label=0),
]


@pytest.fixture
def dataset(tmp_path: Path, photos: list[Photo]) -> Dataset:
    root = tmp_path / "data"
    splits, division = assign_splits(root, {"all": photos}, [], SplitOptions())
    return Dataset(root, LABELS, splits, (), "a" * 64, division)


@pytest.fixture
def folder(tmp_path: Path, dataset: Dataset, photos: list[Photo]) -> Path:
    out = tmp_path / "run" / "suspects"
    write_label_issues(out, dataset, photos, FOUND, ISSUES)
    return out


def test_list_names_photo_label_and_detection(folder: Path) -> None:
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
    assert notes[2].startswith("wrong class? labelled <hole>, detected as dent")
    assert notes[4].startswith("spurious label? no dent is detected here")


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


def test_folder_that_cannot_be_written_is_an_error(
    tmp_path: Path, dataset: Dataset, photos: list[Photo]
) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(TrainingError, match="cannot be written"):
        write_label_issues(tmp_path / "file" / "x", dataset, photos, FOUND, ISSUES)


def test_files_are_not_written_through_a_linked_folder(
    tmp_path: Path, dataset: Dataset, photos: list[Photo]
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "suspects").symlink_to("elsewhere")
    with pytest.raises(TrainingError, match="files would be written elsewhere"):
        write_label_issues(tmp_path / "suspects", dataset, photos, FOUND, ISSUES)
    assert not list((tmp_path / "elsewhere").iterdir())


def crossed(photos: list[Photo], issues: list[LabelIssue]) -> CrossValidation:
    thresholds = choose_thresholds(FOUND, photos, LABELS, "folds")
    metrics = measure(FOUND, photos, LABELS, thresholds, "folds")
    return CrossValidation(3, photos, FOUND, metrics, issues)


def test_section_shows_each_issue_with_both_boxes(
    dataset: Dataset, photos: list[Photo]
) -> None:
    html = label_issues_section(dataset, crossed(photos, ISSUES))
    first, second, third = html.split("<figure>")[1:]
    assert "b.png" in first
    assert "missing box" in first
    assert first.count("<rect") == 1
    assert 'class="box right" x="30.3"' in first
    assert "wrong class</em> confidence 0.70" in second
    assert second.count("<rect") == 3  # a label, the one in question, a detection
    assert 'class="box truth missed" x="40.0"' in second
    assert "&lt;hole&gt;" in second
    assert "<hole>" not in html
    assert "spurious label" in third
    assert "2 labels are more likely wrong than right, 3 should be checked" in html


def test_section_shows_at_most_24(dataset: Dataset, photos: list[Photo]) -> None:
    html = label_issues_section(dataset, crossed(photos, ISSUES * 20))
    assert html.count("<figure>") == 24


def test_section_without_issues_states_that_there_are_none(
    dataset: Dataset, photos: list[Photo]
) -> None:
    html = label_issues_section(dataset, crossed(photos, []))
    assert "No label looks wrong." in html


def test_figures_over_all_folds_have_their_interval(photos: list[Photo]) -> None:
    result = crossed(photos, [])
    html = folds_section(result)
    assert "Over all 3 folds" in html
    interval = result.metrics.recall_interval
    assert interval is not None
    assert f"({interval[0]:.1%} to {interval[1]:.1%})" in html
    assert "good parts alarmed" in html


@pytest.mark.parametrize("kind", list(LabelIssueKind))
def test_every_kind_has_a_text(kind: LabelIssueKind, photos: list[Photo]) -> None:
    text = issue_text(LabelIssue(kind, 0, 0.5, 0, 0), LABELS, photos[0], FOUND[0])
    assert kind.value.replace("-", " ") + "?" in text
