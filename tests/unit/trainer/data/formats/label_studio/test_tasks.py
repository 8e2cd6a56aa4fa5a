"""Label Studio's two exports become tasks with annotations of one form."""

import pytest

from tests.simulators.exports import drawn, region, studio_entries, task
from trainer.data.formats.label_studio.tasks import (
    GOOD_CHOICES,
    StudioAnnotation,
    StudioClass,
    StudioTask,
    Verdict,
    picture_name,
    read_tasks,
)
from trainer.data.formats.rows import LabelState


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("/data/upload/29/0123abcd-a.png", "/data/upload/29/0123abcd-a.png"),
        ("/data/local-files/?d=lot%201/a.png", "lot 1/a.png"),
        ("s3://bucket/lot/a.png", "/lot/a.png"),
        ("https://host/x/a%20b.png?token=1#top", "/x/a b.png"),
        (r"C:\photos\a.png", r"C:\photos\a.png"),
        ("a 100%25.png", "a 100%25.png"),
        ("data:image/png;base64,AAAA", ""),
        ("http://[broken/a.png", "http://[broken/a.png"),
    ],
)
def test_url_gives_the_name_of_a_picture(url: str, name: str) -> None:
    assert picture_name(url) == name


def tasks_of(*content: object) -> list[StudioTask]:
    """Return the tasks of a document without damaged entries."""
    found = [one for one in read_tasks(content) if isinstance(one, StudioTask)]
    assert len(found) == len(content)
    return found


def test_task_has_its_picture_and_what_was_drawn_and_entered() -> None:
    choice = {"id": "c", "type": "choices", "value": {"choices": ["a", "b"]}}
    [read] = tasks_of(task(7, "/data/upload/3/a.png", drawn(region(), choice)))
    assert (read.number, read.pictures) == ("7", ("/data/upload/3/a.png",))
    [annotation] = read.annotations
    assert [one["id"] for one in annotation.regions] == ["r1"]
    assert annotation.classes == (
        StudioClass("choice", "a"),
        StudioClass("choice", "b"),
    )


def test_what_is_entered_for_a_region_is_not_for_the_picture() -> None:
    choice = {"id": "r1", "type": "choices", "value": {"choices": ["deep"]}}
    [read] = tasks_of(task(7, "a.png", drawn(region(), choice)))
    assert read.annotations[0].classes == ()


def test_task_without_annotations_is_unlabelled() -> None:
    entries = studio_entries()
    exported = {key: entries[0][key] for key in ("image", "id")}
    for read in (
        *tasks_of(task(1, "a.png"), {"id": 2, "data": {"image": "a.png"}}),
        tasks_of(entries[1], exported)[0],
    ):
        assert read.chosen() is None
        assert read.state is LabelState.UNLABELLED


def test_number_of_annotations_that_are_not_there_makes_a_task_unclear() -> None:
    [read] = tasks_of(task(1, "a.png") | {"total_annotations": 2})
    assert read.state is LabelState.UNCLEAR
    assert read.reason == "its annotations are not in the export"


def test_good_choices_are_compared_without_case() -> None:
    assert all(text == text.strip().lower() for text in GOOD_CHOICES)
    assert StudioClass("choice", " In Ordnung ").means_good
    assert not StudioClass("choice", "not ok").means_good
    assert not StudioClass("text").means_good


@pytest.mark.parametrize(
    ("annotation", "verdict"),
    [
        (StudioAnnotation("1", ({"x": 1},)), Verdict.DEFECTIVE),
        (StudioAnnotation("1", ()), Verdict.GOOD),
        (StudioAnnotation("1", (), (StudioClass("choice", "ok"),)), Verdict.GOOD),
        (StudioAnnotation("1", (), (StudioClass("choice", "good"),)), Verdict.UNCLEAR),
        (StudioAnnotation("1", (), (StudioClass("choice", "x"),)), Verdict.UNCLEAR),
        (StudioAnnotation("1", (), fault="no result"), Verdict.UNCLEAR),
    ],
    ids=["region", "empty", "ok", "good on a defect", "other choice", "damaged"],
)
def test_verdict_of_an_annotation(
    annotation: StudioAnnotation, verdict: Verdict
) -> None:
    on_defects = {StudioClass("choice", "good")}
    assert annotation.verdict(on_defects) is verdict


def test_columns_of_imported_data_may_be_choices() -> None:
    _, good = studio_entries()
    [read] = tasks_of(good | {"lot": "A7", "empty": None, "thumb": "a.png"})
    assert read.annotations[0].classes == (StudioClass("field 'lot'", "A7"),)
