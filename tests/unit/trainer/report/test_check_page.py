"""The page of ``check``: whole, self-contained, and with what was found."""

import re
from pathlib import Path

import pytest

from models.errors import DatasetError
from tests.simulators.flawed import write_flawed
from tests.simulators.photos import write_coco, write_good
from trainer.data.checks.check import check_dataset
from trainer.data.findings import FindingKind
from trainer.report.check_page import PHOTOS_OF_A_KIND, write_check_page


def test_page_shows_every_kind_and_needs_no_network(tmp_path: Path) -> None:
    report = check_dataset(write_flawed(tmp_path / "d"))
    write_check_page(tmp_path / "new" / "page.html", report)
    page = (tmp_path / "new" / "page.html").read_text("utf-8")
    for kind in report.by_kind:
        assert page.count(f'id="{kind.value}"') == 1
    targets = re.findall(r'(?:src|href)="([^"]{0,12})', page)
    assert targets
    assert all(target.startswith(("#", "data:image/")) for target in targets)
    assert "<script" not in page


def test_faulty_box_has_another_colour_than_the_others(tmp_path: Path) -> None:
    report = check_dataset(write_flawed(tmp_path / "d"))
    write_check_page(tmp_path / "page.html", report)
    page = (tmp_path / "page.html").read_text("utf-8")
    section = page.split(f'id="{FindingKind.OUTSIDE_BOX.value}"')[1].split(
        "</section>"
    )[0]
    assert section.count('class="box wrong"') == 1
    assert section.count('class="box truth"') == 1
    assert 'viewBox="0 0 80 80"' in section  # room beside the photo of 64 px


def test_many_findings_show_some_photos_and_count_the_others(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "d", {"train": PHOTOS_OF_A_KIND + 5})
    text = (root / "train.json").read_text("utf-8")
    (root / "train.json").write_text(re.sub(r'"bbox": \[', '"bbox": [-99', text))
    report = check_dataset(root, trains=False)
    write_check_page(tmp_path / "page.html", report)
    page = (tmp_path / "page.html").read_text("utf-8")
    assert page.count("<figure") == PHOTOS_OF_A_KIND
    assert "<summary>6 more</summary>" in page  # one of the five has two boxes


def test_names_are_shown_and_not_run(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "d")
    text = (root / "train.json").read_text("utf-8")
    (root / "train.json").write_text(text.replace('"dot"', '"<script>"'), "utf-8")
    write_check_page(tmp_path / "page.html", check_dataset(root))
    page = (tmp_path / "page.html").read_text("utf-8")
    assert "&lt;script&gt;" in page
    assert "<script" not in page


def test_page_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    report = check_dataset(write_coco(tmp_path / "d"))
    (tmp_path / "file").write_text("", "utf-8")
    with pytest.raises(DatasetError, match="cannot be written"):
        write_check_page(tmp_path / "file" / "page.html", report)


def test_page_of_good_parts_alone_says_that_unknown_can_be_learned(
    tmp_path: Path,
) -> None:
    page = tmp_path / "page.html"
    write_check_page(page, check_dataset(write_good(tmp_path / "d", 30)))
    text = page.read_text("utf-8")
    assert (
        "<p>Classes: none is labelled. unknown: 30 photos of good parts alone" in text
    )
