"""The report of a run or package: whole, self-contained, and with its JSON."""

import os
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from models.detections import Detections, no_detections
from models.errors import DatasetError, TrainingError
from tests.simulators.records import make_record
from trainer.data.dataset import Dataset, Photo
from trainer.data.splitting.assign import assign_splits
from trainer.data.splitting.split_record import SplitOptions
from trainer.report.document import ReportFigures
from trainer.report.page import write_report

LABELS = ("<script>", 'dent & "hole"', "unused")
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


def report(
    path: Path, photos: list[Photo], found: list[Detections], *, curve: bool = True
) -> str:
    record = make_record(photos, found, LABELS)
    root = Path("/data/boards")
    splits, division = assign_splits(root, {"val": photos}, [], SplitOptions())
    dataset = Dataset(root, LABELS, splits, (), "a" * 64, division)
    write_report(
        path,
        title="line <3>",
        dataset=dataset,
        photos=photos,
        found=found,
        thresholds=record.thresholds,
        metrics=record.metrics,
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


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("manifest.html", "would replace"),
        ("list.html", "would replace"),
        ("text.html", "would replace"),
        ("page.json", "its figures are written beside it"),
    ],
)
def test_report_replaces_no_json_file_of_another_kind(
    name: str,
    fault: str,
    tmp_path: Path,
    photos: list[Photo],
    found: list[Detections],
) -> None:
    contents = {"manifest": '{"metrics": {}, "title": ""}', "list": "[]", "text": "{"}
    for stem, content in contents.items():
        (tmp_path / f"{stem}.json").write_text(content)
    with pytest.raises(TrainingError, match="no report can be written") as caught:
        report(tmp_path / name, photos, found)
    assert fault in caught.value.why
    assert not list(tmp_path.glob("*.html"))
    for stem, content in contents.items():
        assert (tmp_path / f"{stem}.json").read_text() == content


def test_report_replaces_an_earlier_report(
    tmp_path: Path, photos: list[Photo], found: list[Detections]
) -> None:
    report(tmp_path / "report.html", photos, found)
    report(tmp_path / "report.html", photos, found)
    assert (tmp_path / "report.json").exists()


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
    assert "How many good parts are alarmed was not measured." in text
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
    assert {point.overkill_interval for point in figures.operating_curve} == {None}
    assert figures.metrics.overkill is None
    assert figures.training == ()


def test_json_of_good_photos_alone_has_neither_recall_nor_escapes(
    tmp_path: Path, photos: list[Photo], found: list[Detections]
) -> None:
    page = report(tmp_path / "report.html", photos[3:], found[3:], curve=False)
    figures = ReportFigures.model_validate_json((tmp_path / "report.json").read_text())
    points = figures.operating_curve
    assert {(one.recall, one.recall_interval) for one in points} == {(None, None)}
    assert {(one.escapes, one.escapes_interval) for one in points} == {(None, None)}
    assert {label.ap_33 for label in figures.labels} == {None}
    assert figures.metrics.map_50 is None
    assert "How many defective parts pass was not measured." in page


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


def test_photo_that_vanished_is_named(
    tmp_path: Path, photos: list[Photo], found: list[Detections]
) -> None:
    gone = replace(photos[2], path=tmp_path / "gone.png")
    with pytest.raises(DatasetError, match=r"gone\.png"):
        report(tmp_path / "r.html", [*photos[:2], gone, *photos[3:]], found)
