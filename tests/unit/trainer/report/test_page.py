import os
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.detections import Detections, no_detections
from models.errors import DatasetError, TrainingError
from models.manifest import ThresholdRule, Thresholds
from trainer.data.dataset import Dataset, Photo
from trainer.data.splitting.assign import assign_splits
from trainer.data.splitting.split_record import SplitOptions
from trainer.detectors.base import Architecture
from trainer.detectors.yolox_blocks import Activation
from trainer.evaluation.metrics import measure
from trainer.report.charts import Axis, LineSeries, line_chart
from trainer.report.document import ReportFigures
from trainer.report.figures import (
    MatchedPhoto,
    alarmed_good_photos,
    confusion,
    label_figures,
    match_photo,
    worst_photos,
)
from trainer.report.operating_point import operating_curve
from trainer.report.page import write_report
from trainer.run import CurvePoint, RunRecord

LABELS = ("<script>", 'dent & "hole"', "unused")
SIDE_PX = 60
THRESHOLD = np.full(3, 0.5, np.float32)
VOID = {"meta", "br", "link", "wbr"}


class Outline(HTMLParser):
    """Collects what is in a page, and checks that every tag is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [v for k, v in attrs if k in {"src", "href", "xlink:href"} and v]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def photos(tmp_path: Path) -> list[Photo]:
    """Three defective photos with two boxes each, two good ones."""
    found = []
    for number in range(5):
        path = tmp_path / f"part-{number}&.png"
        picture = np.full((SIDE_PX, SIDE_PX, 3), 40 * number, np.uint8)
        assert cv2.imwrite(str(path), picture)
        count = 2 if number < 3 else 0
        boxes = np.array([[5, 5, 20, 20], [30, 30, 50, 50]], np.float32)[:count]
        labels = np.array([0, 1], np.int64)[:count]
        found.append(Photo(path, f"{number:064}", SIDE_PX, SIDE_PX, boxes, labels))
    return found


def detections(*rows: tuple[int, float, int]) -> Detections:
    """Make detections from (x and y, score, label), 15 px wide."""
    if not rows:
        return no_detections()
    boxes = np.array([[x, x, x + 15, x + 15] for x, _, _ in rows], np.float32)
    scores = np.array([score for _, score, _ in rows], np.float32)
    return Detections(
        boxes, scores, np.array([label for _, _, label in rows], np.int64)
    )


@pytest.fixture
def found() -> list[Detections]:
    return [
        detections((5, 0.9, 0), (32, 0.8, 1)),  # both right
        detections((5, 0.9, 1), (32, 0.3, 1)),  # one confused, one below
        detections(),  # escaped
        detections((10, 0.7, 1)),  # a good part alarmed
        detections((10, 0.2, 1)),  # a good part passed
    ]


def report(
    path: Path, photos: list[Photo], found: list[Detections], *, curve: bool = True
) -> str:
    thresholds = Thresholds(
        scores=dict.fromkeys(LABELS, 0.5),
        iou_threshold=0.65,
        rule=ThresholdRule.BEST_F1,
        chosen_on="val",
        images=5,
        good_images=2,
    )
    metrics = measure(found, photos, LABELS, thresholds, "val")
    root = Path("/data/boards")
    splits, division = assign_splits(root, {"val": photos}, [], SplitOptions())
    dataset = Dataset(root, LABELS, splits, (), "a" * 64, division)
    record = RunRecord(
        name="run",
        detector=Architecture.YOLOX_NANO,
        activation=Activation.HARDSWISH,
        labels=LABELS,
        input_height_px=64,
        input_width_px=64,
        seed=7,
        recipe={"epochs": 2},
        pretrained="none",
        dataset="/data/boards",
        dataset_sha256="a" * 64,
        dataset_images=9,
        versions={"torch": "2"},
        seconds=90,
        thresholds=thresholds,
        metrics=metrics,
        curve=(
            CurvePoint(epoch=1, step=1, seconds=1, loss=8),
            CurvePoint(epoch=2, step=2, seconds=2, loss=4),
        ),
    )
    write_report(
        path,
        title="line <3>",
        dataset=dataset,
        photos=photos,
        found=found,
        thresholds=thresholds,
        metrics=metrics,
        record=record if curve else None,
    )
    return path.read_text()


def test_report_shows_photos_whose_names_are_not_utf8(
    tmp_path: Path, photos: list[Photo], found: list[Detections]
) -> None:
    named = []
    for photo in photos:
        path = photo.path.with_name(os.fsdecode(b"caf\xe9-") + photo.path.name)
        named.append(replace(photo, path=photo.path.rename(path)))
    text = report(tmp_path / "r.html", named, found)
    assert r"caf\udce9-part" in text


def test_report_is_one_well_formed_file_without_any_link(
    tmp_path: Path, photos: list[Photo], found: list[Detections]
) -> None:
    text = report(tmp_path / "new" / "report.html", photos, found)
    page = Outline()
    page.feed(text)
    assert page.open == []
    assert page.links
    assert all(link.startswith("data:image/jpeg;base64,") for link in page.links)
    assert not {"script", "link", "iframe"} & set(page.tags)
    assert not re.search(r"https?://|url\(|@import", text)


def test_names_are_shown_as_they_are_and_never_as_markup(
    tmp_path: Path, photos: list[Photo], found: list[Detections]
) -> None:
    page = Outline()
    page.feed(report(tmp_path / "r.html", photos, found))
    assert "line <3>" in page.text
    assert "<script>" in page.text
    assert 'dent & "hole"' in page.text
    assert "part-2&.png" in page.text


def test_report_starts_with_escapes_and_overkill(
    tmp_path: Path, photos: list[Photo], found: list[Detections]
) -> None:
    page = Outline()
    page.feed(report(tmp_path / "r.html", photos, found))
    assert "Of 100 defective parts, about 33 pass unseen." in page.text
    assert "Of 100 good parts, about 50 are alarmed." in page.text
    assert "33.3 %" in page.text  # 2 of 6 boxes found
    assert "2 epochs in 1.5 minutes" in page.text
    assert "escaped" in page.text


def test_package_has_no_training_curve(
    tmp_path: Path, photos: list[Photo], found: list[Detections]
) -> None:
    text = report(tmp_path / "r.html", photos, found, curve=False)
    assert "<h3>Training</h3>" not in text
    assert "trained on" not in text


def test_report_without_good_parts_states_what_was_not_measured(
    tmp_path: Path, photos: list[Photo], found: list[Detections]
) -> None:
    text = report(tmp_path / "r.html", photos[:3], found[:3])
    assert "no photos of good parts" in text
    assert "nothing to measure it on" in text
    assert "Of 100 good parts" not in text


def test_report_of_a_detector_that_finds_nothing(
    tmp_path: Path, photos: list[Photo]
) -> None:
    text = report(tmp_path / "r.html", photos, [no_detections() for _ in photos])
    assert "about 100 pass unseen" in text
    assert "none are alarmed" in text


def test_unwritable_report_is_a_training_error(
    tmp_path: Path, photos: list[Photo], found: list[Detections]
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match="cannot be written"):
        report(tmp_path / "file" / "r.html", photos, found)


def matched(photos: list[Photo], found: list[Detections]) -> list[MatchedPhoto]:
    return [match_photo(d, p, THRESHOLD) for d, p in zip(found, photos, strict=True)]


def test_escaped_photos_come_before_other_faults(
    photos: list[Photo], found: list[Detections]
) -> None:
    worst = worst_photos(matched(photos, found), 9)
    assert [one.photo for one in worst] == [photos[2], photos[1]]
    assert worst[0].escaped
    assert worst[1].missed.tolist() == [True, True]
    assert worst[1].right.tolist() == [False]


def test_only_good_photos_with_a_detection_are_alarmed(
    photos: list[Photo], found: list[Detections]
) -> None:
    alarmed = alarmed_good_photos(matched(photos, found))
    assert [one.photo for one in alarmed] == [photos[3]]


def test_confusion_counts_every_box_and_every_report_once(
    photos: list[Photo], found: list[Detections]
) -> None:
    table = confusion(matched(photos, found), 3)
    assert table.tolist() == [
        [1, 1, 0, 1],  # right, taken for a dent, missed
        [0, 1, 0, 2],
        [0, 0, 0, 0],
        [0, 1, 0, 0],  # the alarmed good part
    ]


def test_average_precision_of_a_label_is_the_area_below_its_curve(
    photos: list[Photo], found: list[Detections]
) -> None:
    first, second, unused = label_figures(found, photos, THRESHOLD)
    assert first.boxes == second.boxes == 3
    assert (first.found, first.false_positives) == (1, 0)
    assert first.average_precision == pytest.approx(34 / 101)  # recall 0 to 0.33
    # scores 0.9 wrong, 0.8 right, 0.7 wrong, 0.3 right, 0.2 wrong: 1/2 all along
    assert second.precision.tolist() == pytest.approx([0.5, 0.5, 0.5, 0.5, 0.4])
    assert second.average_precision == pytest.approx(0.5 * 67 / 101)
    assert unused.boxes == 0


def test_higher_thresholds_find_less_and_alarm_less(
    photos: list[Photo], found: list[Detections]
) -> None:
    curve = operating_curve(found, photos, THRESHOLD)
    assert (np.diff(curve.found) <= 0).all()
    assert (np.diff(curve.escaped) >= 0).all()
    assert (np.diff(curve.alarmed) <= 0).all()
    assert (curve.alarmed[0], curve.good) == (2, 2)
    assert (curve.escaped[-1], curve.defective) == (3, 3)


def test_json_beside_the_report_has_the_same_figures(
    tmp_path: Path, photos: list[Photo], found: list[Detections]
) -> None:
    report(tmp_path / "report.html", photos, found)
    text = (tmp_path / "report.json").read_text()
    figures = ReportFigures.model_validate_json(text)
    chosen = next(p for p in figures.operating_curve if p.shift == 0)
    assert chosen.recall == figures.metrics.recall == pytest.approx(2 / 6)
    assert chosen.recall_interval == figures.metrics.recall_interval
    assert chosen.overkill == figures.metrics.overkill == 0.5
    assert chosen.escapes == figures.metrics.escapes == pytest.approx(1 / 3)
    assert figures.confusion[0] == (1, 1, 0, 1)
    assert [one.photo for one in figures.worst] == ["part-2&.png", "part-1&.png"]
    assert [one.photo for one in figures.alarmed_good] == ["part-3&.png"]
    assert [point.loss for point in figures.training] == [8, 4]
    assert figures.labels[0].name == "<script>"


def test_json_without_good_photos_has_no_overkill(
    tmp_path: Path, photos: list[Photo], found: list[Detections]
) -> None:
    report(tmp_path / "report.html", photos[:3], found[:3], curve=False)
    text = (tmp_path / "report.json").read_text()
    figures = ReportFigures.model_validate_json(text)
    assert {point.overkill for point in figures.operating_curve} == {None}
    assert figures.training == ()


def test_chosen_point_lies_on_the_curve_with_its_intervals(
    tmp_path: Path, photos: list[Photo], found: list[Detections]
) -> None:
    text = report(tmp_path / "r.html", photos, found)
    dot = re.search(r'class="point" cx="([\d.]+)" cy="([\d.]+)"', text)
    assert dot
    curve = re.search(r'class="line s0" d="M([^"]+)"', text)
    assert curve
    assert f"{dot[1]} {dot[2]}" in curve[1].split("L")
    assert "in use: 33.3% found, 50.0% alarmed" in text


def test_chart_stays_inside_its_frame() -> None:
    line = LineSeries("a", np.array([0, 1, 2]), np.array([-1, 0.5, 9]))
    chart = line_chart([line], Axis("x"), Axis("y"))
    path = re.search(r'class="line s0" d="M([^"]+)"', chart)
    assert path
    points = [tuple(map(float, p.split())) for p in path[1].split("L")]
    assert all(0 <= x <= 560 and 0 <= y <= 330 for x, y in points)
    assert len(points) == 3


@pytest.mark.parametrize("high", [1e-6, 0.7, 1, 3, 12.6, 30, 400])
def test_axis_has_a_few_round_ticks(high: float) -> None:
    ticks = Axis("loss", high, percent=False).ticks()
    assert 3 <= len(ticks) <= 6
    assert ticks[0] == 0
    assert ticks[-1] <= high * 1.001


def test_photo_that_vanished_is_named(
    tmp_path: Path, photos: list[Photo], found: list[Detections]
) -> None:
    gone = replace(photos[2], path=tmp_path / "gone.png")
    with pytest.raises(DatasetError, match=r"gone\.png"):
        report(tmp_path / "r.html", [*photos[:2], gone, *photos[3:]], found)
